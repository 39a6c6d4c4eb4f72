"""What a task's labels are, and what follows from them for what was decided.

Sums and series of labels are the task's measures, which `export` takes too; only events have warnings and their cost.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype

from ontime.common.arrays import Outputs, Target
from ontime.common.errors import OntimeError
from ontime.datasets.keys import key_text
from ontime.datasets.table import class_name
from ontime.model_deployment.export.label_series import GroupRate
from ontime.model_deployment.export.label_sums import ALL, Sums, measures_of
from ontime.model_deployment.export.rounding import rounded
from ontime.model_deployment.inference.manifest import Manifest, read_manifest
from ontime.model_evaluation.settings import Decision
from ontime.monitoring.log_files import FEATURE
from ontime.tasks.answers import DECISION
from ontime.tasks.names import TaskName
from ontime.tasks.task import from_column

Outcomes = Mapping[str, Any]
"""Numbers of rows, or of rows that are expected, by what became of the decision; None where it is not known."""


class Labels(ABC):
    """The labels of what a model answers."""

    dtype: ClassVar[ExtensionDtype]
    """Type of a column of labels."""
    as_text: ClassVar[bool] = False
    """Whether labels are read as they are written."""
    told: ClassVar[tuple[str, ...]] = ()
    """Outcomes that a day tells."""

    def __init__(self, manifest: Manifest) -> None:
        self.classes = manifest.classes
        self.answer = manifest.answer
        self.measures = measures_of(manifest.task, manifest.classes)

    @property
    @abstractmethod
    def expected(self) -> str:
        """What a label is, for people."""

    @abstractmethod
    def read(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        """Labels from where they are kept, missing also where a value is none."""

    def checked(self, values: "pd.Series[Any]", where: str) -> "pd.Series[Any]":
        """Labels, of which those are missing that the source has not.

        Raises:
            OntimeError: a value is no label; `where` begins it.
        """
        found = self.read(values)
        wrong = values[found.isna() & values.notna()]
        if len(wrong):
            raise OntimeError(f"{where}: expected {self.expected} or nothing, found {wrong.iloc[0]!r:.40}")
        return found.astype(self.dtype)

    def outputs(self, values: "pd.Series[Any]", where: str) -> Outputs:
        """What the model said, from a column of the log: (rows,) or (rows, classes).

        Raises:
            OntimeError: an answer is not one of the model; `where` begins it.
        """
        width = len(self.classes)
        if values.isna().any() or (width and {np.shape(one) for one in values} - {(width,)}):
            raise OntimeError(f"{where}: {self.answer.output}: has values that are not answers of this model")
        return from_column(values) if len(values) else np.empty((0, width) if width else 0)

    def outcomes(
        self, rows: pd.DataFrame, target: Target, outputs: Outputs, group_rate: GroupRate | None
    ) -> dict[str, Any]:
        """Outcomes of a day's decisions; none of those that cost nothing.

        Args:
            rows: labelled rows of the log.
            group_rate: what is decided without a model, None if it is not known.
        """
        del rows, target, outputs, group_rate
        return {}

    def costs(self, outcomes: Sequence[Outcomes], window: Sums, decision: Decision) -> dict[str, float]:
        """Cost per 1,000 labelled rows of days with these outcomes, by who decides, and as the model expects it."""
        del outcomes, window, decision
        return {}


class BinaryLabels(Labels):
    """Whether the event happened: 0 or 1."""

    dtype = pd.Int8Dtype()
    expected = "0, 1"
    told = ("right", "false", "missed")

    def read(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        """Numbers, texts of numbers and truth values that are 0 or 1."""
        numbers = pd.to_numeric(values.astype(object), errors="coerce").astype("float64")
        return numbers.where(numbers.isin([0, 1]))

    def outcomes(
        self, rows: pd.DataFrame, target: Target, outputs: Outputs, group_rate: GroupRate | None
    ) -> dict[str, Any]:
        """Outcomes of the warnings, those that the probabilities expect, and those of the group's past rate."""
        warned = rows[DECISION].to_numpy(dtype=np.bool_)
        found: dict[str, Any] = {
            "right": int((warned & (target == 1)).sum()),
            "false": int((warned & (target == 0)).sum()),
            "missed": int((~warned & (target == 1)).sum()),
            "expected_false": rounded((1 - outputs)[warned].sum()),
            "expected_missed": rounded(outputs[~warned].sum()),
            "group_false": None,
            "group_missed": None,
        }
        if group_rate is None or rows[[FEATURE + name for name in group_rate.columns]].isna().all(axis=None):
            return found
        groups = key_text(rows, [FEATURE + name for name in group_rate.columns])
        by_group = groups.map(group_rate.rates).astype("float64").fillna(group_rate.base).to_numpy()
        warned = by_group >= group_rate.threshold
        return found | {
            "group_false": int((warned & (target == 0)).sum()),
            "group_missed": int((~warned & (target == 1)).sum()),
        }

    def costs(self, outcomes: Sequence[Outcomes], window: Sums, decision: Decision) -> dict[str, float]:
        """Of the model, as it expects them, without warnings, and of the group's rate if it is known on all days."""
        rows, events = window.rows, float(window.segments[ALL][1])
        if not rows:
            return {}

        def cost(false: str, missed: str) -> float | None:
            counts = [(one[false], one[missed]) for one in outcomes]
            if any(None in one for one in counts):
                return None
            false_alarms, missed_events = (sum(one) for one in zip(*counts, strict=True))
            return rounded(
                1000 * (false_alarms * decision.false_alarm_cost + missed_events * decision.missed_event_cost) / rows
            )

        found = {
            "model": cost("false", "missed"),
            "expected": cost("expected_false", "expected_missed"),
            "never_warn": rounded(1000 * events * decision.missed_event_cost / rows),
            "group_rate": cost("group_false", "group_missed"),
        }
        return {name: value for name, value in found.items() if value is not None}


class MulticlassLabels(Labels):
    """The names of classes, which become their numbers."""

    dtype = pd.Int8Dtype()
    as_text = True

    def read(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        """Names of the model's classes, which may be whole numbers, also as `2.0`."""
        places = {name: place for place, name in enumerate(self.classes)}
        texts = values.map(class_name, na_action="ignore")
        numbers = pd.to_numeric(texts.astype(object), errors="coerce").astype("float64").map(class_name)
        return texts.map(places).astype("float64").fillna(numbers.map(places))

    @property
    def expected(self) -> str:
        """Some of the names."""
        return f"a class of the model ({', '.join(self.classes[:5])}{', …' if len(self.classes) > 5 else ''})"


class RegressionLabels(Labels):
    """Numbers."""

    dtype = pd.Float64Dtype()
    expected = "a number"

    def read(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        """Numbers and texts of numbers that are finite."""
        numbers = pd.to_numeric(values.astype(object), errors="coerce").astype("float64")
        return numbers.where(np.isfinite(numbers))


LABELS: dict[TaskName, type[Labels]] = {
    "binary": BinaryLabels,
    "multiclass": MulticlassLabels,
    "regression": RegressionLabels,
}


def labels_of(model: Path) -> Labels:
    """The labels of what a champion's folder answers."""
    manifest = read_manifest(model)
    return LABELS[manifest.task](manifest)
