"""One day's inputs and probabilities against the days before it.

Each column's limits are `k` times what it moved at most on any day of the reference, because the usual rules (an index
above 0.25, a significant difference) raise an alarm on every sound day of data that has weather or seasons. What moves
is the population stability index, and the shares of missing and of unknown values. A day with an alarm is quarantined:
later days are not compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ontime.model_deployment.export.profile import Counts
from ontime.model_deployment.export.reference import WINDOW_DAYS, Reference

ROWS_BY_CHANCE = 3
"""So many rows of a day may be a chance where the reference has none: Hanley and Lippman-Hand 1983, rule of three."""


@dataclass(frozen=True)
class Shifts:
    """What one day moved, and its limits; the places of an alarm are those of the shifts, then those of the gaps."""

    found: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]
    """Of the shift of each column, the probability last: (columns,)."""
    gap: npt.NDArray[np.float64]
    gap_limit: npt.NDArray[np.float64]
    """Of the change of the share of missing values of each feature, then of unknown ones of each category."""
    compared_with: list[str]
    """The days, oldest first."""

    @property
    def alarms(self) -> list[int]:
        """Places of what moved beyond its limit, the farthest beyond first."""
        found, limit = np.concatenate([self.found, self.gap]), np.concatenate([self.limit, self.gap_limit])
        beyond = np.flatnonzero(found > limit)
        with np.errstate(divide="ignore"):
            ratio = found[beyond] / limit[beyond]
        return [int(place) for place in beyond[np.argsort(-ratio, kind="stable")]]


def shifts_of(reference: Reference, sound: Mapping[str, Counts], day: str, counts: Counts, k: float) -> Shifts:
    """Compare a day with the last `WINDOW_DAYS` sound days before it.

    Args:
        sound: counts of days without alarm since the reference, by ISO 8601 date.
        counts: the day's rows by bin: (bins,).
        k: how many times as far as in the reference a column may move.
    """
    bins = reference.bins
    earlier = {one: found for one, found in {**reference.days, **sound}.items() if one < day}
    compared = sorted(earlier)[-WINDOW_DAYS:]
    usual = np.array([earlier[one] for one in compared], dtype=np.int64).reshape(-1, bins.total).sum(axis=0)
    gap = np.abs(bins.gap_shares(counts) - bins.gap_shares(usual))
    by_chance = ROWS_BY_CHANCE / max(1, int(counts[: bins.sizes[0]].sum()))
    gap_limit = np.maximum(k * reference.largest_gap, by_chance)
    return Shifts(bins.shift(counts, usual), k * reference.largest_shift, gap, gap_limit, compared)
