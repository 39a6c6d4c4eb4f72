"""Checks of a pull request: the proof of `dvc.lock`, the report on the model, the gate, the comment."""
