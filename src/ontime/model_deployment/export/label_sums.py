"""What is kept of a day's labelled rows: sums that can be added up, and what a number of days together say.

A row has a probability and, later, a label. From probabilities alone follows what labels are to be expected if the
probabilities are right: the estimate of performance without labels of NannyML (CBPE,
https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html). What happened is compared with that,
because a week of bad weather changes the quality of a sound model, and what it expects of itself as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.arrays import Labels

Floats = npt.NDArray[np.float64]

Series = tuple[str, str]
"""Name of a series, and the segment that it is about."""

ALL = ""
"""The segment of all rows."""
MEASURES = ("rows", "events", "probability", "loss", "expected_loss")
"""Sums of a segment: rows, events, probabilities, log losses and the log losses that the probabilities expect."""
BINS = 200
"""Bins of the probability, equally wide, of which the area under the ROC curve is made."""
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities nearer to 0 or 1 count as this in log losses, as in scikit-learn's."""
SEGMENT_ROWS = 50
"""A segment with fewer rows in a window is not looked at."""


@dataclass(frozen=True)
class Sums:
    """Sums over labelled rows."""

    segments: dict[str, Floats]
    """The `MEASURES` of all rows and of each segment: (5,) each."""
    bins: npt.NDArray[np.int64]
    """Rows and events by bin of the probability: (2, bins)."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.bins[0].sum())

    def as_json(self) -> dict[str, Any]:
        """Plain content, sums with nine digits."""
        segments = {name: [float(f"{value:.9g}") for value in sums] for name, sums in self.segments.items()}
        return {"segments": segments, "bins": self.bins.tolist()}


def sums_from_json(content: dict[str, Any]) -> Sums:
    """The sums that `Sums.as_json` made."""
    segments = {name: np.array(sums, dtype=np.float64) for name, sums in content["segments"].items()}
    return Sums(segments, np.array(content["bins"], dtype=np.int64))


def sums_of(label: Labels, probability: Floats, slices: pd.DataFrame) -> Sums:
    """Sums of some rows.

    Args:
        label: 0 or 1 (rows,); probability: (rows,).
        slices: a column for each way to divide the rows, whose segments are called `column=value`.
    """
    clipped = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    event, other = -np.log(clipped), -np.log1p(-clipped)
    expected = clipped * event + (1 - clipped) * other
    measures = np.stack([np.ones(len(label)), label, probability, np.where(label == 1, event, other), expected])
    segments = {ALL: measures.sum(axis=1)}
    for column in slices:
        codes, values = pd.factorize(slices[column].astype("str").fillna("(missing)"), sort=True)
        for code, value in enumerate(values):
            segments[f"{column}={value}"] = measures[:, codes == code].sum(axis=1)
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    bins = np.stack([np.bincount(place, minlength=BINS), np.bincount(place[label == 1], minlength=BINS)])
    return Sums(segments, bins.astype(np.int64))


def added(parts: Iterable[Sums]) -> Sums:
    """The sums of all rows of several sums."""
    segments: dict[str, Floats] = {ALL: np.zeros(len(MEASURES))}
    bins = np.zeros((2, BINS), dtype=np.int64)
    for part in parts:
        for name, sums in part.segments.items():
            segments[name] = segments.get(name, 0) + sums
        bins += part.bins
    return Sums(segments, bins)


def roc_auc(rows: Floats, events: Floats) -> Floats:
    """Area under the ROC curve, by bin of the score; rows of one bin count as equal. NaN without rows of both kinds.

    Args:
        rows, events: by bin, the lowest score first: (…, bins).

    Returns:
        (…,).
    """
    others = rows - events
    below = np.cumsum(others, axis=-1) - others / 2
    pairs = events.sum(axis=-1) * others.sum(axis=-1)
    return np.asarray((events * below).sum(axis=-1) / np.where(pairs > 0, pairs, np.nan))


def expected_roc_auc(rows: Floats) -> Floats:
    """The area that probabilities alone expect, by their bins (…, bins): (…,)."""
    return roc_auc(rows, rows * (np.arange(BINS) + 0.5) / BINS)


def quality(sums: Sums) -> dict[str, dict[str, float]]:
    """ROC AUC and log loss of labelled rows (`truth`), and as their probabilities alone expect them (`expected`)."""
    rows, events = sums.bins.astype(np.float64)
    count, _, _, loss, expected_loss = sums.segments[ALL]
    return {
        "roc_auc": {"truth": float(roc_auc(rows, events)), "expected": float(expected_roc_auc(rows))},
        "log_loss": {"truth": float(loss / count), "expected": float(expected_loss / count)},
    }


def shifts(segments: Sequence[str], measures: Floats, bins: npt.NDArray[np.int64]) -> dict[Series, Floats]:
    """How far what happened is from what was expected, by series and segment, in each of several windows.

    `offset` is the share of events less the mean probability; of a segment, less that of the rest. `log_loss` and
    `roc_auc` are those of all rows less what the probabilities expect. Where there are few rows the value is NaN.

    Args:
        segments: their names, that of all rows first.
        measures: sums by window and segment: (windows, segments, 5); bins: (windows, 2, bins).

    Returns:
        (windows,) each.
    """
    rows, events, probability, loss, expected_loss = np.moveaxis(measures, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = (events - probability) / rows
        rest = ((events - probability)[:, :1] - (events - probability)) / (rows[:, :1] - rows)
    few = np.minimum(rows, rows[:, :1] - rows) < SEGMENT_ROWS
    less_rest = np.where(few, np.nan, offset - rest)
    counted = bins.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: dict[Series, Floats] = {
            ("offset", ALL): offset[:, 0],
            ("log_loss", ALL): (loss - expected_loss)[:, 0] / rows[:, 0],
            ("roc_auc", ALL): roc_auc(counted[:, 0], counted[:, 1]) - expected_roc_auc(counted[:, 0]),
        }
    return found | {("offset", name): less_rest[:, place] for place, name in enumerate(segments) if name != ALL}


def stacked(sums: Sequence[Sums]) -> tuple[list[str], Floats, npt.NDArray[np.int64]]:
    """Segments, measures (parts, segments, 5) and bins (parts, 2, bins) of several sums."""
    segments = [ALL, *sorted({name for part in sums for name in part.segments if name != ALL})]
    nothing = np.zeros(len(MEASURES))
    measures = np.array([[part.segments.get(name, nothing) for name in segments] for part in sums])
    return segments, measures, np.array([part.bins for part in sums])
