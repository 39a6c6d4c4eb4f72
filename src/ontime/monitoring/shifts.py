"""One day's inputs and probabilities against the days before it.

Each column's limit is `k` times its own largest shift on any day of the reference, because the usual rules (an index
above 0.25, a significant difference) raise an alarm on every sound day of data that has weather or seasons. A day with
an alarm is quarantined: later days are not compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ontime.model_deployment.export.profile import Counts
from ontime.model_deployment.export.reference import WINDOW_DAYS, Reference


@dataclass(frozen=True)
class Shifts:
    """One day's shift of each column, the probability last, and its limit: (columns,)."""

    found: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]
    compared_with: list[str]
    """The days, oldest first."""

    @property
    def alarms(self) -> list[int]:
        """Places of the columns beyond their limits, the farthest beyond first."""
        beyond = np.flatnonzero(self.found > self.limit)
        with np.errstate(divide="ignore"):
            ratio = self.found[beyond] / self.limit[beyond]
        return [int(place) for place in beyond[np.argsort(-ratio, kind="stable")]]


def shifts_of(reference: Reference, sound: Mapping[str, Counts], day: str, counts: Counts, k: float) -> Shifts:
    """Compare a day with the last `WINDOW_DAYS` sound days before it.

    Args:
        sound: counts of days without alarm since the reference, by ISO 8601 date.
        counts: the day's rows by bin: (bins,).
        k: how many times its largest shift in the reference a column may move.
    """
    earlier = {one: found for one, found in {**reference.days, **sound}.items() if one < day}
    compared = sorted(earlier)[-WINDOW_DAYS:]
    usual = np.array([earlier[one] for one in compared], dtype=np.int64).reshape(-1, reference.bins.total).sum(axis=0)
    return Shifts(reference.bins.shift(counts, usual), k * reference.largest_shift, compared)
