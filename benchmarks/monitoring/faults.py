"""Faults of what a deployed model is asked, and changes of what happens: plain functions on the rows of a day.

Columns are the model's features by name, beside `key`, `time` and, where answers are there, `probability`. No function
changes its argument.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Fault = Callable[["pd.DataFrame"], "pd.DataFrame"]

WEATHER = (
    *("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    *("pressure_change_3h", "precip_6h"),
)
CLOCKS = ("sched_dep_minute", "sched_arr_minute")
MINUTES_OF_A_DAY = 24 * 60
LIVE = ("_120m", "_1440m", "_overdue", "_overdue_minutes")
"""How the features end that say what happens at the airports now."""
KNOTS_PER_MILE_AN_HOUR = 0.868976


def without(rows: "pd.DataFrame", feature: str) -> "pd.DataFrame":
    """A feature that no row has."""
    return rows.assign(**{feature: rows[feature].mask(rows[feature].notna())})


def in_celsius(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Temperatures in degrees Celsius instead of Fahrenheit."""
    return rows.assign(temp=(rows["temp"] - 32) * 5 / 9)


def in_knots(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Wind in knots instead of miles per hour."""
    return rows.assign(wind_speed=rows["wind_speed"] * KNOTS_PER_MILE_AN_HOUR)


def renamed(rows: "pd.DataFrame", carrier: str) -> "pd.DataFrame":
    """A carrier under a code that the model does not know."""
    return rows.assign(carrier=rows["carrier"].where(rows["carrier"] != carrier, f"{carrier}*"))


def clock_off(rows: "pd.DataFrame", hours: int) -> "pd.DataFrame":
    """Local times that are hours late."""
    return rows.assign(**{name: (rows[name] + 60 * hours) % MINUTES_OF_A_DAY for name in CLOCKS})


def weather_lost(rows: "pd.DataFrame", share: float, seed: int) -> "pd.DataFrame":
    """A share of rows that finds no weather."""
    kept = np.random.default_rng(seed).random(len(rows)) >= share
    return rows.assign(**{name: rows[name].where(kept) for name in WEATHER})


def other_vocabulary(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Airports by the codes of the ICAO, which has a K before those of the United States."""
    return rows.assign(**{name: "K" + rows[name] for name in ("origin", "dest")})


def frozen(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Weather that stands still: each airport keeps that of the day's first row."""
    first = rows.groupby("origin")[list(WEATHER)].transform("first")
    return rows.assign(**{name: first[name] for name in WEATHER})


def a_day_old(rows: "pd.DataFrame", day_before: "pd.DataFrame") -> "pd.DataFrame":
    """Features of the same flight on the day before, where it flew; what is known of the schedule is today's."""
    import pandas as pd

    flight = ["carrier", "flight", "origin"]
    old = day_before.drop_duplicates(flight).set_index(flight).reindex(pd.MultiIndex.from_frame(rows[flight]))
    names = map(str, rows.columns)
    live = [name for name in names if name in WEATHER or name.endswith(LIVE) or name.startswith("previous_")]
    found = old["time"].notna().to_numpy()
    return rows.assign(**{name: rows[name].where(~found, old[name].to_numpy()) for name in live})


def exchanged(rows: "pd.DataFrame", one: str, other: str) -> "pd.DataFrame":
    """Two features, each under the name of the other."""
    return rows.assign(**{one: rows[other], other: rows[one]})


def odds_doubled(rows: "pd.DataFrame", seed: int) -> "pd.Series[Any]":
    """Targets of rows (0, 1 or missing) whose odds are twice those that the model expects of them.

    A row without the event has it then with the share p / (1 + p), of its probability p.
    """
    drawn = np.random.default_rng(seed).random(len(rows)) < rows["probability"] / (1 + rows["probability"])
    without = (rows["target"] == 0).fillna(False).astype(bool)
    return rows["target"].mask(without & drawn, 1)
