"""Whether an event happens: a target of 0 and 1, for which a model gives the probability of 1."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Outputs, Target
from ontime.tasks.names import PROBABILITY
from ontime.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd


class Binary(Task):
    """A model's output is the probability of the event: (rows,)."""

    name = "binary"
    output = PROBABILITY
    loss_name = "log_loss"
    estimator = "Classifier"
    head = "sigmoid"
    baselines = ("base_rate", "group_rate")
    metrics = ("roc_auc", "pr_auc", "log_loss", "brier_score")

    def loss(self, target: Target, outputs: Outputs) -> float:
        """Log loss."""
        from sklearn.metrics import log_loss

        return float(log_loss(target, outputs, labels=[0, 1]))

    def fault(self, target: "pd.Series[Any]") -> str | None:
        """A class without rows."""
        return None if target.nunique() == 2 else "not both classes"

    def strata(self, target: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
        """The rows of each class."""
        return [np.flatnonzero((target == value).fillna(False)) for value in (0, 1)]

    def order(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """The target: categories are ordered by their share of events."""
        return target

    def counts(self, target: Target) -> dict[str, int]:
        """Events."""
        return {"events": int(target.sum())}
