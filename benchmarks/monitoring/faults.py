"""Faults of a deployed model's inputs: plain functions from a day's rows to the rows as the fault would leave them.

Columns are the model's features by name, beside `key` and `time`. No function changes its argument.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

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
