"""What a task owns of evaluation: its metrics, what is chosen on validation, slices and curves.

Each task's judge is in a module of its own, which is imported when it is asked for.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd

from ontime.common.arrays import Outputs, Target, Weights
from ontime.model_evaluation.slices import slice_table
from ontime.tasks.names import TaskName

Rule = Mapping[str, float]
"""What is chosen on validation rows and kept for all others, by name; empty where nothing is."""


class Judge(ABC):
    """Says what a model's outputs are worth against what happened; `classes` are the names of the target's numbers.

    `weights` (rows,) say what each row counts; None: each the same.
    """

    accepted: ClassVar[tuple[str, ...]]
    """Metrics that a deployed service must have as its manifest does."""
    slice_metric: ClassVar[str]
    """What a pull request's gate compares of slices."""
    slice_columns: ClassVar[tuple[str, ...]]
    """What is measured of slices."""
    compared: ClassVar[tuple[str, ...]]
    """What a report compares by days, the loss of segments first."""
    drawn: ClassVar[dict[str, tuple[str, str, str]]]
    """Curves that a report draws: two columns and a title."""
    diagonal: ClassVar[tuple[str, ...]] = ("roc", "calibration")
    """Curves beside which equal values are drawn."""
    pair: ClassVar[tuple[str, str] | None] = None
    """Of a slice, what happened and what the model said of it, which are equal where it is right on average."""

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)

    def rule(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> Rule:
        """What is chosen on these rows."""
        del target, outputs, weights
        return {}

    @abstractmethod
    def summarize(self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None) -> dict[str, Any]:
        """The metrics by name, rounded, the number of rows, and the sum of their weights if they have some."""

    def by_slice(
        self,
        rows: pd.DataFrame,
        columns: list[str],
        target: Target,
        outputs: Outputs,
        rule: Rule,
        weights: Weights | None = None,
    ) -> pd.DataFrame:
        """A row for each value of each column, called `column=value` in `slice`, with `rows`; most rows first."""

        def figures(target: Target, outputs: Outputs, weights: Weights | None) -> Mapping[str, Any]:
            return self.slice_figures(target, outputs, rule, weights)

        return slice_table(rows, columns, target, outputs, weights, self.slice_columns, figures)

    @abstractmethod
    def slice_figures(
        self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None
    ) -> Mapping[str, Any]:
        """What is measured of the rows of a slice, by the names in `slice_columns`; None where they are too few."""

    @abstractmethod
    def curves(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> dict[str, pd.DataFrame]:
        """Curves by name, as tables that `dvc.yaml` has plots of."""


JUDGES: dict[TaskName, str] = {
    "binary": "BinaryJudge",
    "multiclass": "MulticlassJudge",
    "regression": "RegressionJudge",
}
"""Class of each task's judge, in the module `<task>_judge`."""


def judge_of(task: TaskName, classes: Sequence[str] = ()) -> Judge:
    """The judge of a task, with the settings of `params.yaml` that it needs."""
    module = importlib.import_module(f"ontime.model_evaluation.{task}_judge")
    found: type[Judge] = getattr(module, JUDGES[task])
    return found(classes)
