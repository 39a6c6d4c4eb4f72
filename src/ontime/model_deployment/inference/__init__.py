"""The champion in memory, from files that were checked: for the service and for batch scoring."""
