"""Estimators, their training, tracking and tuning."""
