"""The champion asked for whole tables."""
