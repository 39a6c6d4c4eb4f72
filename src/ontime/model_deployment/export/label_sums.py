"""What is kept of a day's labelled rows: sums that can be added up, and what a number of days together say.

A row has a model's output and, later, a label. Which sums are kept of both, and what is told of them, a task says in
`<task>_series.py`, which is imported when it is asked for.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.arrays import Outputs, Target
from ontime.tasks.names import TaskName

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

Series = tuple[str, str]
"""Name of a series, and the segment that it is about."""

ALL = ""
"""The segment of all rows."""
OFFSET = "offset"
"""Series of what happened less what the model said, on average."""
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities nearer to 0 or 1 count as this in log losses, as in scikit-learn's."""
SEGMENT_ROWS = 50
"""A segment with fewer rows in a window is not looked at."""


@dataclass(frozen=True)
class Sums:
    """Sums over labelled rows."""

    segments: dict[str, Floats]
    """The task's measures of all rows and of each segment, of which the first is the number of rows: (measures,)."""
    bins: Counts
    """Rows and events by bin of the probability: (2, bins); a task without events has no bin."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.segments[ALL][0])

    def as_json(self) -> dict[str, Any]:
        """Plain content, sums with nine digits."""
        segments = {name: [float(f"{value:.9g}") for value in sums] for name, sums in self.segments.items()}
        return {"segments": segments, **({"bins": self.bins.tolist()} if self.bins.size else {})}


def sums_from_json(content: dict[str, Any]) -> Sums:
    """The sums that `Sums.as_json` made."""
    segments = {name: np.array(sums, dtype=np.float64) for name, sums in content["segments"].items()}
    return Sums(segments, np.array(content.get("bins", [[], []]), dtype=np.int64))


class Measures(ABC):
    """What a task keeps of labelled rows; `classes` are the names of the target's numbers."""

    output: ClassVar[str]
    """What the model's outputs are called in tables."""
    bins: ClassVar[int] = 0
    """Bins of the output that are counted."""
    not_centred: ClassVar[frozenset[str]] = frozenset()
    """Series that say nothing unless it is known what they usually are; the others are 0 where a model is right."""

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)

    @property
    @abstractmethod
    def width(self) -> int:
        """How many sums are kept of a segment."""

    @abstractmethod
    def of_rows(self, target: Target, outputs: Outputs) -> Floats:
        """What is summed of each row: (width, rows); the first is 1."""

    def counts(self, target: Target, outputs: Outputs) -> Counts:
        """Rows and events by bin: (2, bins)."""
        del target, outputs
        return np.zeros((2, self.bins), dtype=np.int64)

    @abstractmethod
    def quality(self, sums: Sums, usual: Mapping[Series, float]) -> dict[str, dict[str, float]]:
        """Metrics of labelled rows (`truth`), and what they are expected to be (`expected`), NaN if it is not known.

        Args:
            usual: what series usually are.
        """

    @abstractmethod
    def shifts(self, segments: Sequence[str], measures: Floats, bins: Counts) -> dict[Series, Floats]:
        """How far what happened is from what was expected, by series and segment, in each of several windows.

        Where there are few rows the value is NaN.

        Args:
            segments: their names, that of all rows first.
            measures: sums by window and segment: (windows, segments, width); bins: (windows, 2, bins).

        Returns:
            (windows,) each.
        """

    @abstractmethod
    def of_segment(self, sums: Floats) -> dict[str, float]:
        """What is told of a segment with these sums (width,), beside its number of rows."""

    def sums_of(self, target: Target, outputs: Outputs, slices: pd.DataFrame) -> Sums:
        """Sums of some rows.

        Args:
            target: labels (rows,); outputs: what the model said of them, (rows,) or (rows, classes).
            slices: a column for each way to divide the rows, whose segments are called `column=value`.
        """
        measures = self.of_rows(target, outputs)
        segments = {ALL: measures.sum(axis=1)}
        for column in slices:
            codes, values = pd.factorize(slices[column].astype("str").fillna("(missing)"), sort=True)
            for code, value in enumerate(values):
                segments[f"{column}={value}"] = measures[:, codes == code].sum(axis=1)
        return Sums(segments, self.counts(target, outputs).astype(np.int64))

    def nothing(self) -> Sums:
        """The sums of no rows."""
        return Sums({ALL: np.zeros(self.width)}, np.zeros((2, self.bins), dtype=np.int64))

    def added(self, parts: Iterable[Sums]) -> Sums:
        """The sums of all rows of several sums."""
        nothing = self.nothing()
        segments, bins = nothing.segments, nothing.bins
        for part in parts:
            for name, sums in part.segments.items():
                segments[name] = segments.get(name, 0) + sums
            bins += part.bins
        return Sums(segments, bins)

    def stacked(self, sums: Sequence[Sums]) -> tuple[list[str], Floats, Counts]:
        """Segments, measures (parts, segments, width) and bins (parts, 2, bins) of several sums."""
        segments = [ALL, *sorted({name for part in sums for name in part.segments if name != ALL})]
        nothing = np.zeros(self.width)
        measures = np.array([[part.segments.get(name, nothing) for name in segments] for part in sums])
        return segments, measures, np.array([part.bins for part in sums])


def less_rest(segments: Sequence[str], rows: Floats, difference: Floats) -> dict[str, Floats]:
    """The mean difference of a row, of all rows and, less that of the rest, of each segment that has enough rows.

    Args:
        rows, difference: numbers of rows, and sums of their differences: (windows, segments), of all rows first.

    Returns:
        (windows,) for each segment.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = difference / rows
        rest = (difference[:, :1] - difference) / (rows[:, :1] - rows)
    few = np.minimum(rows, rows[:, :1] - rows) < SEGMENT_ROWS
    of_segments = np.where(few, np.nan, mean - rest)
    return {name: mean[:, 0] if name == ALL else of_segments[:, place] for place, name in enumerate(segments)}


MEASURES: dict[TaskName, str] = {
    "binary": "BinaryMeasures",
    "multiclass": "MulticlassMeasures",
    "regression": "RegressionMeasures",
}
"""Class of each task's measures, in the module `<task>_series`."""


def measures_of(task: TaskName, classes: Sequence[str] = ()) -> Measures:
    """What a task keeps of labelled rows."""
    module = importlib.import_module(f"ontime.model_deployment.export.{task}_series")
    found: type[Measures] = getattr(module, MEASURES[task])
    return found(classes)
