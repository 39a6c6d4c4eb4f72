"""What this machine has of what the project needs, and how to get the rest."""
