"""What a pull request must show: the proof of `dvc.lock`, the report on the model, the gate, the comment."""
