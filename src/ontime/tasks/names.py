"""The tasks by name."""

from typing import Literal

TaskName = Literal["binary", "regression"]
PROBABILITY, PREDICTION = "probability", "prediction"
"""What the outputs of models are called: of an event, and of a number."""
