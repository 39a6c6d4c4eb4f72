"""`reference.json`: what the rows were like that a model was made from, day by day; `export` writes it.

A day is compared with the days before it. How far sound days are apart differs from feature to feature by orders of
magnitude, so the limits of each feature are measured, not set: its largest shift on any day of the reference, and the
largest changes of the shares of its missing and its unknown values. A join that loses a few rows moves such a share
beyond what is usual, where weather alone moves the shift farther.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from ontime.common.errors import OntimeError
from ontime.model_deployment.export.label_series import LabelReference
from ontime.model_deployment.export.profile import Bins, Counts
from ontime.model_deployment.export.rounding import rounded

REFERENCE = "reference.json"
WINDOW_DAYS = 28
"""Days before a day that it is compared with: four whole weeks."""


@dataclass(frozen=True)
class Reference:
    """Bins, the counts of the last `WINDOW_DAYS` days with rows, and what is usual."""

    bins: Bins
    days: dict[str, Counts]
    """Rows by bin of each day, oldest first; a day is an ISO 8601 date in UTC."""
    largest_shift: npt.NDArray[np.float64]
    """Of each column, the probability last, over the compared days: (columns,)."""
    largest_gap: npt.NDArray[np.float64]
    """Of each of the bins' `gaps`, the largest change of its share: (features + categories,)."""
    compared_days: int
    labels: LabelReference | None = None
    """How far labels may be from what the model expects; None where no rows were predicted by earlier models."""

    def as_text(self) -> str:
        """The content of `reference.json`, a line for each day."""
        head = {
            "compared_days": self.compared_days,
            "largest_shift": [rounded(value) for value in self.largest_shift],
            "largest_gap": [rounded(value) for value in self.largest_gap],
            "numbers": self.bins.numbers,
            "categories": self.bins.categories,
            **({"texts": self.bins.texts} if self.bins.texts else {}),
            "probability": self.bins.probability,
        }
        if self.labels:
            head["labels"] = self.labels.model_dump(exclude_none=True)
        lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
        days = [f"    {json.dumps(day)}: {json.dumps(counts.tolist())}" for day, counts in self.days.items()]
        return "\n".join(["{", *lines, '  "days": {', ",\n".join(days), "  }", "}", ""])


def make_reference(bins: Bins, days: list[str], counts: Counts) -> Reference:
    """Measure how far days with rows are from the `WINDOW_DAYS` such days before them.

    Args:
        days: ISO 8601 dates with rows, oldest first.
        counts: of each: (days, bins).
    """
    usual = {place: counts[place - WINDOW_DAYS : place].sum(axis=0) for place in range(WINDOW_DAYS, len(days))}
    shifts = [bins.shift(counts[place], before) for place, before in usual.items()]
    gaps = [np.abs(bins.gap_shares(counts[place]) - bins.gap_shares(before)) for place, before in usual.items()]
    largest_shift = np.max(shifts, axis=0) if shifts else np.zeros(len(bins.sizes))
    largest_gap = np.max(gaps, axis=0) if gaps else np.zeros(len(bins.gaps))
    last = dict(zip(days[-WINDOW_DAYS:], counts[-WINDOW_DAYS:], strict=True))
    return Reference(bins, last, largest_shift, largest_gap, len(shifts))


class _Content(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    compared_days: int
    largest_shift: list[int | float]
    largest_gap: list[int | float]
    numbers: dict[str, list[int | float]]
    categories: dict[str, int]
    texts: dict[str, list[int | float]] = {}
    probability: list[int | float]
    days: dict[str, list[int]]
    labels: LabelReference | None = None


def read_reference(path: Path) -> Reference:
    """Read a champion's `reference.json`.

    Raises:
        OntimeError: it is missing, or is not what `export` writes.
    """
    try:
        found = _Content.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; this model was exported without a time column") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise OntimeError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    except (ValueError, RecursionError) as error:
        raise OntimeError(f"{path}: not JSON: {error}") from None
    probability = [float(value) for value in found.probability]
    bins = Bins(_floats(found.numbers), found.categories, probability, _floats(found.texts))
    days = {day: np.array(counts, dtype=np.int64) for day, counts in sorted(found.days.items())}
    largest_shift, largest_gap = (
        np.array(values, dtype=np.float64) for values in (found.largest_shift, found.largest_gap)
    )
    if (
        any(len(counts) != bins.total for counts in days.values())
        or len(largest_shift) != len(bins.sizes)
        or len(largest_gap) != len(bins.gaps)
    ):
        raise OntimeError(f"{path}: its counts do not fit its bins")
    return Reference(bins, days, largest_shift, largest_gap, found.compared_days, found.labels)


def _floats(values: dict[str, list[Any]]) -> dict[str, list[float]]:
    return {name: [float(value) for value in edges] for name, edges in values.items()}
