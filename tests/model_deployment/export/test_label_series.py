"""Limits come from days: sound days have few episodes, whatever their rows have in common, and faults leave them."""

import numpy as np
import pandas as pd
import pytest

from ontime.model_deployment.export.label_series import (
    EPISODE_DAYS,
    SERIES_DAYS,
    LabelReference,
    episodes,
    least_deviations,
    limits_of,
    sums_by_day,
)
from ontime.model_deployment.export.label_sums import ALL, measures_of
from tests.labelled_days import OF_TASKS

DAYS, ROWS = 240, 400
BINARY = measures_of("binary")


def history(seed: int, days: int = DAYS, odds: float = 1.0, odds_of_south: float = 1.0) -> pd.DataFrame:
    """Rows of days, each of which has weather that all its rows share and no probability knows."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), ROWS)
    depot = random.choice(["north", "south"], len(day))
    probability = random.beta(2, 5, len(day))
    weather = np.exp(0.4 * random.normal(size=days))[day]
    times = weather * odds * np.where(depot == "south", odds_of_south, 1)
    chance = times * probability / (1 + (times - 1) * probability)
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(day, unit="D"),
            "depot": depot,
            "target": (random.random(len(day)) < chance).astype("int8"),
            "probability": probability,
        }
    )


@pytest.fixture(scope="module")
def reference() -> LabelReference:
    return limits_of(list(sums_by_day(history(0), "at", ["depot"], BINARY).values()), BINARY)


def alarms(reference: LabelReference, rows: pd.DataFrame) -> dict[tuple[str, str], list[bool]]:
    """Whether each window of each series is beyond its limit."""
    days = list(sums_by_day(rows, "at", ["depot"], BINARY).values())
    windows = [BINARY.added(days[end - SERIES_DAYS : end]) for end in range(SERIES_DAYS, len(days) + 1)]
    values = BINARY.shifts(*BINARY.stacked(windows))
    return {
        series: (np.abs(values[series] - usual.usual) > usual.limit).tolist()
        for series, usual in reference.by_series().items()
    }


def test_sound_days_have_about_one_episode_in_thirty_of_all_series_together(reference: LabelReference) -> None:
    assert set(reference.by_series()) == {
        ("offset", ALL),
        ("log_loss", ALL),
        ("roc_auc", ALL),
        ("offset", "depot=north"),
        ("offset", "depot=south"),
    }
    found = [
        episodes(np.any(list(alarms(reference, history(seed)).values()), axis=0)) * EPISODE_DAYS / DAYS
        for seed in range(1, 6)
    ]
    assert 0.1 < np.mean(found) < 1.6


def test_a_week_of_a_fault_leaves_the_limits_of_its_series_alone(reference: LabelReference) -> None:
    everywhere = alarms(reference, history(11, SERIES_DAYS, odds=2.5))
    assert everywhere["offset", ALL] == [True]
    assert everywhere["offset", "depot=south"] == [False]
    south = alarms(reference, history(12, SERIES_DAYS, odds_of_south=1.6))
    assert south["offset", "depot=south"] == [True]


def test_rows_of_a_day_are_no_evidence_of_their_own() -> None:
    """Each row twice is no more evidence, as a test of independent rows would have it."""
    rows = history(0, 60)
    once = limits_of(list(sums_by_day(rows, "at", ["depot"], BINARY).values()), BINARY)
    twice = limits_of(list(sums_by_day(pd.concat([rows, rows]), "at", ["depot"], BINARY).values()), BINARY)
    for name, usual in once.by_series().items():
        assert twice.by_series()[name].limit == pytest.approx(usual.limit, rel=1e-4)


def test_the_order_of_rows_changes_nothing() -> None:
    rows = history(0, 40)
    first = limits_of(list(sums_by_day(rows, "at", ["depot"], BINARY).values()), BINARY)
    shuffled = rows.sample(frac=1, random_state=5)
    assert limits_of(list(sums_by_day(shuffled, "at", ["depot"], BINARY).values()), BINARY) == first


def test_rows_without_label_or_time_are_left_out() -> None:
    rows = history(0, 40).astype({"target": "Int8"})
    never = np.zeros(len(rows), dtype=bool)
    more = rows.assign(target=rows["target"].where(never)), rows.assign(at=rows["at"].where(never))
    found = sums_by_day(pd.concat([rows, *more]), "at", ["depot"], BINARY)
    assert [day.rows for day in found.values()] == [ROWS] * 40
    assert list(found)[:2] == ["2024-01-01", "2024-01-02"]


@pytest.mark.parametrize("days", [0, 1, EPISODE_DAYS - 1])
def test_too_few_days_have_no_limits(days: int) -> None:
    found = limits_of(list(sums_by_day(history(0, EPISODE_DAYS), "at", ["depot"], BINARY).values())[:days], BINARY)
    assert found == LabelReference(days=days)


def test_a_segment_that_is_seldom_there_has_no_limit() -> None:
    rows = history(0, 60)
    rows.loc[rows["at"] < pd.Timestamp("2024-01-10", tz="UTC"), "depot"] = "west"
    found = limits_of(list(sums_by_day(rows, "at", ["depot"], BINARY).values()), BINARY)
    assert ("offset", "depot=west") not in found.by_series()
    assert ("offset", "depot=north") in found.by_series()


def test_alarms_within_seven_days_are_one_episode() -> None:
    alarm = np.zeros(40, dtype=bool)
    alarm[[0, 6, 7, 20, 30, 31, 36, 37]] = True
    assert episodes(alarm) == 5
    assert episodes(np.ones(21, dtype=bool)) == 3
    assert episodes(np.zeros(21, dtype=bool)) == 0


def test_the_limit_is_the_least_with_half_an_episode_in_thirty_days() -> None:
    away = np.zeros(120)
    away[[10, 40, 70, 100]] = [1, 4, 2, 3]
    assert least_deviations([away]) == 2
    assert least_deviations([away, np.zeros(240)]) == 0


@pytest.mark.parametrize("task", OF_TASKS)
def test_classes_and_numbers_have_as_few_episodes_and_a_fault_is_found_in_its_first_seven_days(task: str) -> None:
    """Sound: 480 days of two seeds. A fault of every label, or of the south's, in seven days of five seeds each."""
    labelled = OF_TASKS[task]
    reference = limits_of(labelled.sums(0, DAYS), labelled.measures)
    assert len({segment for _, segment in reference.by_series()}) == 3
    found = [episodes(labelled.alarms(reference, seed, DAYS)) * EPISODE_DAYS / DAYS for seed in (1, 2)]
    assert 0.1 < np.mean(found) < 1.6
    for fault in ((labelled.fault, 0.0), (0.0, labelled.fault)):
        assert all(labelled.alarms(reference, seed, SERIES_DAYS, *fault)[0] for seed in range(11, 16)), fault
