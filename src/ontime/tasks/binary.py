"""Whether an event happens: a target of 0 and 1, for which a model gives the probability of 1."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Outputs, Target, Weights
from ontime.tasks.names import PROBABILITY
from ontime.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

LEAST_CLASS_ROWS = 5
"""Rows of the rarer class that each part needs: fewer say nothing of a model (Cochran 1954, "Some methods for
strengthening the common chi-squared tests", asks for five in each class)."""


def rarer_class_rows(target: "pd.Series[Any]") -> int:
    """How many rows are of the rarer class; `target` 0, 1 or missing."""
    events = int(target.sum())
    return min(events, int(target.notna().sum()) - events)


class Binary(Task):
    """A model's output is the probability of the event: (rows,)."""

    name = "binary"
    output = PROBABILITY
    loss_name = "log_loss"
    estimator = "Classifier"
    head = "sigmoid"
    baselines = ("base_rate", "group_rate")
    metrics = ("roc_auc", "pr_auc", "log_loss", "brier_score")

    def loss(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> float:
        """Log loss."""
        from sklearn.metrics import log_loss

        return float(log_loss(target, outputs, labels=[0, 1], sample_weight=weights))

    def fault(self, target: "pd.Series[Any]") -> str | None:
        """Too few rows of a class."""
        found = rarer_class_rows(target)
        few = found < LEAST_CLASS_ROWS
        return f"{found} rows of the rarer class and needs {LEAST_CLASS_ROWS}" if few else None

    def strata(self, target: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
        """The rows of each class."""
        return [np.flatnonzero((target == value).fillna(False)) for value in (0, 1)]

    def order(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """The target: categories are ordered by their share of events."""
        return target

    def counts(self, target: Target) -> dict[str, int]:
        """Events."""
        return {"events": int(target.sum())}
