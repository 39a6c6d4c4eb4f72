"""The champion's probabilities for whole tables."""
