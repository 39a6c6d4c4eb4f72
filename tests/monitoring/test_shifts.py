"""A day is compared with the sound days before it, and only what moved too far raises an alarm."""

import numpy as np
import numpy.typing as npt
import pytest

from ontime.model_deployment.export.profile import Bins, Counts
from ontime.model_deployment.export.reference import WINDOW_DAYS, Reference, make_reference
from ontime.monitoring.shifts import ROWS_BY_CHANCE, shifts_of

BINS = Bins({"weight": [-1.0, 0.0, 1.0], "steady": [-1.0, 0.0, 1.0]}, {"depot": 5}, [0.25, 0.5])
DAYS = [f"2024-{month:02d}-{day:02d}" for month in range(1, 7) for day in range(1, 29)]
K = 1.7


def counted(random: np.random.Generator, level: float = 0.0, missing: float = 0.0) -> Counts:
    """A day of 900 rows; `weight` has a level of its own each day, as weather has, and some of it is missing."""
    matrix: npt.NDArray[np.float32] = random.normal(size=(900, 3)).astype(np.float32)
    matrix[:, 0] += random.normal(scale=0.3) + level
    matrix[random.random(900) < missing, 1] = np.nan
    matrix[:, 2] = random.integers(2, 5, 900)
    (counts,) = BINS.count(matrix, random.random(900), np.zeros(900, dtype=np.int64), 1)
    return np.asarray(counts)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Six months of sound days."""
    random = np.random.default_rng(5)
    return make_reference(BINS, DAYS, np.array([counted(random) for _ in DAYS]))


def test_sound_days_raise_no_alarm_though_one_number_moves_every_day(reference: Reference) -> None:
    random, sound = np.random.default_rng(6), dict[str, Counts]()
    for day in (f"2024-07-{number:02d}" for number in range(1, 29)):
        counts = counted(random)
        assert not shifts_of(reference, sound, day, counts, K).alarms
        sound[day] = counts


STEADY, STEADY_MISSING = 1, 5
"""Places of the shift of `steady`, and of its missing values after the four shifts and those of `weight`."""


@pytest.mark.parametrize(
    ("fault", "places"),
    [
        ({"level": 4.0}, [0]),
        ({"missing": 0.05}, [STEADY_MISSING, STEADY]),
        ({"missing": 0.01}, [STEADY_MISSING, STEADY]),
        ({"missing": 1.0}, [STEADY_MISSING, STEADY]),
    ],
)
def test_a_fault_raises_an_alarm_for_its_column_alone(
    reference: Reference, fault: dict[str, float], places: list[int]
) -> None:
    found = shifts_of(reference, {}, "2024-07-01", counted(np.random.default_rng(7), **fault), K)
    assert sorted(found.alarms) == sorted(places)


def test_so_few_missing_values_as_come_by_chance_raise_no_alarm(reference: Reference) -> None:
    counts = counted(np.random.default_rng(6))
    value, missing = BINS.starts[1], BINS.gaps[1]
    assert not reference.largest_gap.any()
    for rows in range(1, ROWS_BY_CHANCE + 2):
        counts[value] -= 1
        counts[missing] += 1
        found = shifts_of(reference, {}, "2024-07-01", counts, K)
        assert (STEADY_MISSING in found.alarms) == (rows > ROWS_BY_CHANCE)


def test_a_day_is_compared_with_the_newest_sound_days_before_it(reference: Reference) -> None:
    random = np.random.default_rng(8)
    sound = {day: counted(random) for day in ("2024-07-01", "2024-07-02", "2024-07-09")}
    found = shifts_of(reference, sound, "2024-07-04", counted(random), K)
    assert found.compared_with == [*DAYS[-WINDOW_DAYS + 2 :], "2024-07-01", "2024-07-02"]


def test_what_moved_farthest_beyond_its_limit_comes_first(reference: Reference) -> None:
    found = shifts_of(reference, {}, "2024-07-01", counted(np.random.default_rng(9), level=3.0, missing=1.0), K)
    assert found.alarms == [STEADY, STEADY_MISSING, 0]
