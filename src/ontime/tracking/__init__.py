"""Writes to MLflow; the repository never reads its state from there."""
