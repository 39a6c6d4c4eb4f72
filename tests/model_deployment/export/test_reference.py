"""A reference is read as it was written, and its limits are the largest shifts of its own days."""

import json
from pathlib import Path

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.export.profile import Bins
from ontime.model_deployment.export.reference import (
    REFERENCE,
    WINDOW_DAYS,
    Reference,
    make_reference,
    read_reference,
)

BINS = Bins({"weight": [1.0, 2.0]}, {"dépôt": 3}, [0.5])
DAYS = [f"2024-{month:02d}-{day:02d}" for month in (1, 2) for day in range(1, 21)]


@pytest.fixture
def reference() -> Reference:
    """Forty days of random counts."""
    counts = np.random.default_rng(0).integers(0, 50, (len(DAYS), BINS.total))
    return make_reference(BINS, DAYS, counts)


def test_the_limits_are_the_largest_shift_of_a_day_from_the_days_before_it(reference: Reference) -> None:
    counts = np.random.default_rng(0).integers(0, 50, (len(DAYS), BINS.total))
    shifts = [BINS.shift(counts[d], counts[d - WINDOW_DAYS : d].sum(axis=0)) for d in range(WINDOW_DAYS, len(DAYS))]
    assert reference.compared_days == len(shifts) == 12
    assert reference.largest_shift == pytest.approx(np.max(shifts, axis=0))
    assert list(reference.days) == DAYS[-WINDOW_DAYS:]
    shares = [
        BINS.gap_shares(counts[d]) - BINS.gap_shares(counts[d - WINDOW_DAYS : d].sum(axis=0))
        for d in range(WINDOW_DAYS, len(DAYS))
    ]
    assert reference.largest_gap == pytest.approx(np.max(np.abs(shares), axis=0))


def test_fewer_days_than_are_compared_give_no_limit() -> None:
    found = make_reference(BINS, DAYS[:5], np.ones((5, BINS.total), dtype=np.int64))
    assert (found.compared_days, found.largest_shift.tolist(), len(found.days)) == (0, [0.0, 0.0, 0.0], 5)
    assert found.largest_gap.tolist() == [0.0, 0.0, 0.0]


def test_it_is_read_as_it_was_written(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / REFERENCE
    path.write_text(reference.as_text(), encoding="utf-8")
    found = read_reference(path)
    assert found.as_text() == reference.as_text()
    assert found.bins == BINS
    assert found.largest_shift == pytest.approx(reference.largest_shift, rel=1e-5)
    assert found.largest_gap == pytest.approx(reference.largest_gap, rel=1e-5)
    assert {day: counts.tolist() for day, counts in found.days.items()} == {
        day: counts.tolist() for day, counts in reference.days.items()
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"days": {"2024-01-01": [1, 2]}}, "its counts do not fit its bins"),
        ({"largest_shift": [0.1]}, "its counts do not fit its bins"),
        ({"largest_gap": [0.1]}, "its counts do not fit its bins"),
        ({"compared_days": "many"}, "compared_days: input should be a valid integer"),
        ({"numbers": {"weight": [float("nan")]}}, "numbers.weight.0"),
        ({"days": None}, "days: input should be a valid dictionary"),
    ],
)
def test_another_content_is_refused(
    reference: Reference, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    path = tmp_path / REFERENCE
    path.write_text(json.dumps(json.loads(reference.as_text()) | change))
    with pytest.raises(OntimeError, match=reason):
        read_reference(path)


def test_a_file_that_is_missing_or_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / REFERENCE
    with pytest.raises(OntimeError, match=r"reference\.json: not found"):
        read_reference(path)
    path.write_text("{")
    with pytest.raises(OntimeError, match=r"reference\.json: not JSON"):
        read_reference(path)
