"""What a champion becomes: exported, loaded, served, and asked for whole tables."""
