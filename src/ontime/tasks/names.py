"""The tasks by name."""

from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]
PROBABILITY, PREDICTION = "probability", "prediction"
"""What the outputs of models are called: of an event or classes, and of a number."""
