"""Reproducible machine learning by DVC and GitOps."""
