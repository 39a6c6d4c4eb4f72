"""Sound days raise no alarm, and every kind of fault raises one for what it is in, on its first day."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmarks.monitoring import faults
from ontime.encoder import Encoder
from ontime.model_deployment.export.profile import Bins, Counts, quantile_edges
from ontime.model_deployment.export.reference import Reference, make_reference
from ontime.monitoring.shifts import shifts_of

K = 1.7
ROWS = 600
OTHERS = ("origin_late_departures_120m", "previous_leg_delay")
ENCODER = Encoder(
    (*faults.CLOCKS, *faults.WEATHER, *OTHERS),
    {"carrier": ("UA", "DL", "FL"), "origin": ("EWR", "JFK", "LGA"), "dest": ("ATL", "ORD", "SFO")},
)
DAYS = [str(day)[:10] for day in pd.date_range("2024-01-01", periods=90)]
LIVE_DAYS = [str(day)[:10] for day in pd.date_range("2024-03-31", periods=28)]


def asked(random: np.random.Generator) -> pd.DataFrame:
    """A day's rows: weather with a level of its own each day and one value an hour and airport, a steady schedule."""
    minute = random.integers(300, 1380, ROWS)
    origin = random.integers(0, 3, ROWS)
    place = origin * 24 + minute // 60
    rows = {
        "sched_dep_minute": minute,
        "sched_arr_minute": (minute + random.integers(60, 360, ROWS)) % faults.MINUTES_OF_A_DAY,
        **{name: (random.normal(60, 5) + random.normal(0, 8, 72))[place] for name in faults.WEATHER},
        "origin_late_departures_120m": random.random(ROWS).round(2),
        "previous_leg_delay": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(5, 20, ROWS).round()),
        "carrier": random.choice(["UA", "DL", "FL"], ROWS, p=[0.5, 0.48, 0.02]),
        "origin": np.array(["EWR", "JFK", "LGA"])[origin],
        "dest": random.choice(["ATL", "ORD", "SFO"], ROWS),
        "flight": np.arange(ROWS),
        "time": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(minute, unit="min"),
        "probability": random.random(ROWS),
    }
    return pd.DataFrame(rows)


def encoded(rows: pd.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return ENCODER.transform({name: rows[name].to_numpy() for name in ENCODER.features})


def counted(bins: Bins, rows: pd.DataFrame) -> Counts:
    (counts,) = bins.count(encoded(rows), rows["probability"].to_numpy(), np.zeros(len(rows), dtype=np.int64), 1)
    return np.asarray(counts)


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Ninety sound days."""
    random = np.random.default_rng(1)
    days = [asked(random) for _ in DAYS]
    matrix = np.concatenate([encoded(rows) for rows in days])
    numbers = {name: quantile_edges(matrix[:, place]) for place, name in enumerate(ENCODER.numbers)}
    bins = Bins(numbers, dict(zip(ENCODER.categories, ENCODER.category_sizes, strict=True)), [0.25, 0.5, 0.75])
    return make_reference(bins, DAYS, np.array([counted(bins, rows) for rows in days]))


def causes(reference: Reference, rows: pd.DataFrame, sound: dict[str, Counts] | None = None) -> set[str]:
    """Names of what an alarm says on a day after the reference."""
    bins = reference.bins
    names = [
        *bins.features,
        "probability",
        *(f"{name} missing" for name in bins.features),
        *(f"{name} unknown" for name in bins.categories),
    ]
    found = shifts_of(reference, sound or {}, LIVE_DAYS[-1], counted(bins, rows), K)
    return {names[place] for place in found.alarms}


def test_four_weeks_of_sound_days_raise_no_alarm(reference: Reference) -> None:
    random, sound = np.random.default_rng(2), dict[str, Counts]()
    for day in LIVE_DAYS:
        rows = asked(random)
        assert not causes(reference, rows, sound), day
        sound[day] = counted(reference.bins, rows)


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], set[str]]] = {
    "a feature is missing": (
        lambda rows: faults.without(rows, "previous_leg_delay"),
        {"previous_leg_delay missing", "previous_leg_delay"},
    ),
    "Celsius": (faults.in_celsius, {"temp"}),
    "a large carrier renamed": (lambda rows: faults.renamed(rows, "UA"), {"carrier", "carrier unknown"}),
    "a small carrier renamed": (lambda rows: faults.renamed(rows, "FL"), {"carrier unknown"}),
    "the clock off": (lambda rows: faults.clock_off(rows, 1), {"sched_dep_minute"}),
    "weather lost": (
        lambda rows: faults.weather_lost(rows, 0.05, seed=0),
        {f"{name} missing" for name in faults.WEATHER},
    ),
    "another vocabulary": (faults.other_vocabulary, {"origin", "origin unknown", "dest", "dest unknown"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_an_alarm_that_names_what_it_is_in(reference: Reference, name: str) -> None:
    fault, expected = FAULTS[name]
    rows = asked(np.random.default_rng(3))
    before = rows.copy()
    assert not causes(reference, rows)
    assert causes(reference, fault(rows)) >= expected
    pd.testing.assert_frame_equal(rows, before)


def test_a_unit_that_differs_little_raises_none(reference: Reference) -> None:
    assert not causes(reference, faults.in_knots(asked(np.random.default_rng(3))))


def test_weather_that_stands_still_is_that_of_each_airports_first_row() -> None:
    rows = asked(np.random.default_rng(4))
    found = faults.frozen(rows).groupby("origin")["temp"].agg(["nunique", "first"])
    assert found["nunique"].tolist() == [1, 1, 1]
    assert found["first"].tolist() == rows.groupby("origin")["temp"].first().tolist()


def test_old_rows_are_those_of_the_same_flight_the_day_before_with_todays_schedule() -> None:
    random = np.random.default_rng(5)
    today, before = asked(random), asked(random)
    before[["carrier", "origin"]] = today[["carrier", "origin"]]
    found = faults.a_day_old(today, before.iloc[: ROWS // 2])
    for name in ("temp", *OTHERS):
        assert found[name].iloc[: ROWS // 2].equals(before[name].iloc[: ROWS // 2])
        assert found[name].iloc[ROWS // 2 :].equals(today[name].iloc[ROWS // 2 :])
    assert found["sched_dep_minute"].equals(today["sched_dep_minute"])


def test_doubled_odds_are_twice_those_of_the_probability_and_missing_labels_stay_so() -> None:
    random = np.random.default_rng(6)
    probability = np.full(200_000, 0.2)
    target = pd.array(random.random(len(probability)) < probability).astype("Int8")
    target[:1000] = pd.NA
    rows = pd.DataFrame({"probability": probability, "target": target})
    found = faults.odds_doubled(rows, seed=7)
    assert found.isna().sum() == 1000
    share = float(found.mean())
    assert share / (1 - share) == pytest.approx(2 * 0.2 / 0.8, rel=0.02)
    assert (found[target == 1] == 1).all()
