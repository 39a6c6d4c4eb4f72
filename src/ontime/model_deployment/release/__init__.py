"""Versions, stages and what runs where, as annotated tags and release files in git."""
