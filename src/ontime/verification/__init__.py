"""Verification: the graph reproduces `dvc.lock`, and the running pods are the release."""
