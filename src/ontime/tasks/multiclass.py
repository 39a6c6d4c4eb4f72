"""Which of several classes: a target of their numbers from 0 on, for which a model gives the probability of each."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Outputs, Target, Weights
from ontime.tasks.names import PROBABILITY
from ontime.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

LEAST_CLASS_ROWS = 5
"""Rows of each class that each part needs, as of an event (Cochran 1954)."""


class Multiclass(Task):
    """A model's output is the probability of each class: (rows, classes)."""

    name = "multiclass"
    output = PROBABILITY
    loss_name = "log_loss"
    estimator = "Classifier"
    head = "softmax"
    baselines = ("class_shares", "group_shares")
    metrics = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")

    def loss(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> float:
        """Log loss, of probabilities that are kept a little away from 0, as scikit-learn does."""
        said = np.take_along_axis(outputs, target.astype(np.intp)[:, None], axis=1)
        return float(np.average(-np.log(said[:, 0].clip(np.finfo(np.float64).eps, 1)), weights=weights))

    def fault(self, target: "pd.Series[Any]") -> str | None:
        """Too few rows of a class."""
        counts = self._counts(target)
        rarest = int(counts.argmin())
        few = counts[rarest] < LEAST_CLASS_ROWS
        return f"{counts[rarest]} rows of class {self.classes[rarest]} and needs {LEAST_CLASS_ROWS}" if few else None

    def strata(self, target: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
        """The rows of each class."""
        return [np.flatnonzero((target == number).fillna(False)) for number in range(len(self.classes))]

    def order(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """Whether it is the most frequent class: categories are ordered by its share."""
        return (target == int(self._counts(target).argmax())).astype("float64")

    def means(self, target: "pd.Series[Any]") -> list["pd.Series[Any]"]:
        """Whether it is each class: a baseline answers with their past shares."""
        return [(target == number).astype("float64") for number in range(len(self.classes))]

    def _counts(self, target: "pd.Series[Any]") -> npt.NDArray[np.intp]:
        return np.bincount(target.dropna().astype("int64"), minlength=len(self.classes))
