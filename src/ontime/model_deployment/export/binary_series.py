"""What labels say of probabilities of an event.

From probabilities alone follows what labels are to be expected if the probabilities are right: the estimate of
performance without labels of NannyML (CBPE,
https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html). What happened is compared with that,
because a week of bad weather changes the quality of a sound model, and what it expects of itself as well.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from ontime.common.arrays import Outputs, Target
from ontime.model_deployment.export.label_sums import (
    ALL,
    LEAST_PROBABILITY,
    OFFSET,
    Counts,
    Floats,
    Measures,
    Series,
    Sums,
    less_rest,
)
from ontime.tasks.names import PROBABILITY

BINS = 200
"""Bins of the probability, equally wide, of which the area under the ROC curve is made."""


class BinaryMeasures(Measures):
    """Sums of rows, events, probabilities, log losses and the log losses that the probabilities expect."""

    output = PROBABILITY
    bins: ClassVar[int] = BINS
    width = 5

    def of_rows(self, target: Target, outputs: Outputs) -> Floats:
        """Of labels 0 or 1 (rows,) and probabilities (rows,)."""
        clipped = np.clip(outputs, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        event, other = -np.log(clipped), -np.log1p(-clipped)
        expected = clipped * event + (1 - clipped) * other
        return np.stack([np.ones(len(target)), target, outputs, np.where(target == 1, event, other), expected])

    def counts(self, target: Target, outputs: Outputs) -> Counts:
        """Rows and events by bin of the probability."""
        place = np.minimum((outputs * BINS).astype(np.int64), BINS - 1)
        return np.stack([np.bincount(place, minlength=BINS), np.bincount(place[target == 1], minlength=BINS)])

    def quality(self, sums: Sums, usual: Mapping[Series, float]) -> dict[str, dict[str, float]]:
        """ROC AUC and log loss, which the probabilities alone expect too."""
        del usual
        rows, events = sums.bins.astype(np.float64)
        count, _, _, loss, expected_loss = sums.segments[ALL]
        return {
            "roc_auc": {"truth": float(roc_auc(rows, events)), "expected": float(expected_roc_auc(rows))},
            "log_loss": {"truth": float(loss / count), "expected": float(expected_loss / count)},
        }

    def shifts(self, segments: Sequence[str], measures: Floats, bins: Counts) -> dict[Series, Floats]:
        """`offset` is the share of events less the mean probability; of a segment, less that of the rest.

        `log_loss` and `roc_auc` are those of all rows less what the probabilities expect.
        """
        rows, events, probability, loss, expected_loss = np.moveaxis(measures, -1, 0)
        offset = less_rest(segments, rows, events - probability)
        counted = bins.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: dict[Series, Floats] = {
                (OFFSET, ALL): offset.pop(ALL),
                ("log_loss", ALL): (loss - expected_loss)[:, 0] / rows[:, 0],
                ("roc_auc", ALL): roc_auc(counted[:, 0], counted[:, 1]) - expected_roc_auc(counted[:, 0]),
            }
        return found | {(OFFSET, name): values for name, values in offset.items()}

    def of_segment(self, sums: Floats) -> dict[str, float]:
        """Share of events, mean probability and log loss."""
        rows, events, probability, loss, _ = sums
        return {"share_of_events": events / rows, "mean_probability": probability / rows, "log_loss": loss / rows}


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
