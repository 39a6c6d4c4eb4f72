"""Retraining asked for from outside: its settings, and the pull request that is proposed with what came out."""
