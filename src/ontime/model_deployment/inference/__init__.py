"""The champion in memory, from bytes that were checked: for the service, for batches, for a proof."""
