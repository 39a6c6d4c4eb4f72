"""What a task owns of splitting, training and the choice of a champion.

Each task is a class in a module of its own name, which is imported when it is asked for, so that a change of one makes
no stage of a graph of another task run again. What it owns of evaluation is in `model_evaluation/<task>_judge.py`; what
a model of it answers is in `answers.py`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ontime.common import paths
from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.common.layout import TARGET, own_in
from ontime.common.params import Section, load_section
from ontime.tasks.names import TaskName

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 6
CLASSES = {"binary": "Binary", "multiclass": "Multiclass", "regression": "Regression"}
"""Class of each task, in the module of the task's name."""


class TaskSettings(Section):
    """What is predicted: whether an event happens (`binary`), a class (`multiclass`), or a number (`regression`)."""

    kind: TaskName


class Task(ABC):
    """One kind of question about a table's rows; `classes` are what the numbers of a target of classes stand for."""

    name: ClassVar[TaskName]
    output: ClassVar[str]
    """What a model's outputs are called in tables."""
    loss_name: ClassVar[str]
    """What models minimise on validation rows, as histories and importances call it."""
    estimator: ClassVar[str]
    """How the names of scikit-learn's estimators for it end."""
    head: ClassVar[Literal["sigmoid", "softmax", "linear"]]
    """What a neural network ends with."""
    baselines: ClassVar[tuple[str, str]]
    """Runs of two answers that need no model: one for all rows, one for a row's group."""
    metrics: ClassVar[tuple[str, ...]]
    """Validation metrics that may choose the champion."""

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)

    @abstractmethod
    def loss(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> float:
        """The loss of a model's outputs for rows of which the target is known; less is better.

        Args:
            weights: what each row counts (rows,); None: each the same.
        """

    def loss_of_boosting(self, told: float) -> float:
        """The loss, from what scikit-learn's histogram boosting tells of its own."""
        return told

    def rounded(self, loss: float) -> float:
        """A loss, or a difference of losses, as files keep it."""
        return float(np.round(loss, DECIMALS))

    @abstractmethod
    def fault(self, target: "pd.Series[Any]") -> str | None:
        """What a part of the rows has and needs, if its known targets are too little to make or judge a model."""

    @abstractmethod
    def strata(self, target: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
        """Places of the rows that a stratified split divides in the same shares; rows without a target in none."""

    @abstractmethod
    def order(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """A number for each target, by whose mean in each category the categories are ordered."""

    def means(self, target: "pd.Series[Any]") -> list["pd.Series[Any]"]:
        """The numbers of which a baseline answers with the past mean, one for each column of the outputs."""
        return [target]

    def counts(self, target: Target) -> dict[str, int]:
        """What is counted of the rows that a model is fitted on, beside their number."""
        del target
        return {}


def task_of(name: TaskName, classes: Sequence[str] = ()) -> Task:
    """A task by its name, and the classes of its target if it has more than two."""
    module = importlib.import_module(f"ontime.tasks.{name}")
    found: type[Task] = getattr(module, CLASSES[name])
    return found(classes)


def load_task() -> Task:
    """The task that `params.yaml` names, with the classes that the features' layout has.

    Raises:
        OntimeError: it is of classes, and the layout has none.
    """
    name = load_section("task", TaskSettings).kind
    if name != "multiclass":
        return task_of(name)
    classes = read_json(paths.FEATURE_LAYOUT).get("classes")
    if not classes:
        raise OntimeError("params.yaml: task.kind: multiclass needs data.options.classes; `ontime init` writes both")
    return task_of(name, classes)


def target_of(rows: "pd.DataFrame") -> Target:
    """The known targets of rows: 0 and 1, and numbers of classes, as int8, other numbers as float64 (rows,)."""
    found = rows[own_in(TARGET, rows.columns)]
    values = found.to_numpy(dtype=np.float64)
    return values.astype(np.int8) if str(found.dtype).lower() == "int8" or np.isin(values, (0, 1)).all() else values


def as_column(outputs: npt.NDArray[Any]) -> Any:
    """A model's outputs (rows,) or (rows, classes) as a column of a table, of classes with a list in each row."""
    return outputs if outputs.ndim == 1 else list(outputs)


def from_column(values: "pd.Series[Any]") -> Outputs:
    """The outputs in a column that `as_column` made, in float64."""
    if values.dtype == object:
        return np.stack(values.to_list()).astype(np.float64)
    return values.to_numpy(dtype=np.float64)
