"""Answers for raw rows of which nobody knows the outcome yet."""
