"""A team's table that grows day by day: deliveries, the weather of their hour, and whether they came late.

Every value follows from a seed, so any day can be made again. The weather is a level per hour that all rows of the hour
share, as a feed gives it; so one that has stopped shows. What makes a delivery late is a logistic rule without any
other influence, so a model can know it, and from a day on the odds can be other ones.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.checkouts import commit, copy_checkout, run
from tests.forge import set_parameters

NAME = "deliveries"
KEY, TIME, TARGET = "delivery", "ordered_at", "late"
WEATHER = ("temperature", "wind", "rain")
NUMBERS = (*WEATHER, "weight", "distance")
CATEGORIES = ("depot",)
FEATURES = (*NUMBERS, *CATEGORIES)
FIRST_DAY = date(2024, 1, 1)
HISTORY_DAYS, MOST_DAYS = 200, 260
"""Days before the first that a model is served on, and of all that there is weather for."""
VALIDATION_DAYS, TEST_DAYS = 40, 12
LEAST_ROWS, MOST_ROWS = 180, 260
"""Of a day."""
SEED = 20240101
OPEN_HOURS = (5, 22)


def served_day(number: int) -> date:
    """The first day that a model is served on is number 0."""
    return FIRST_DAY + timedelta(days=HISTORY_DAYS + number)


def weather() -> dict[str, npt.NDArray[np.float64]]:
    """Level of each hour of all days: temperature in degrees Celsius, wind in m/s, rain in mm."""
    hours = 24 * MOST_DAYS
    random = np.random.default_rng(SEED)
    warm, windy, wet = (_slow(random.normal(size=hours), kept) for kept in (0.4, 0.4, 0.6))
    daily = -np.cos(2 * np.pi * (np.arange(hours) % 24 - 3) / 24)
    return {
        "temperature": (12 + 4 * daily + 3 * warm).round(),
        "wind": (4 * np.exp(0.5 * windy + 0.1 * daily)).round(),
        "rain": np.maximum(0.0, 1.5 * wet - 0.8).round(1),
    }


def _slow(noise: npt.NDArray[np.float64], kept: float) -> npt.NDArray[np.float64]:
    """Noise of which each hour keeps a share, with variance 1."""
    level = np.empty_like(noise)
    level[0] = noise[0]
    for hour in range(1, len(noise)):
        level[hour] = kept * level[hour - 1] + np.sqrt(1 - kept**2) * noise[hour]
    return level


@dataclass(frozen=True)
class Town:
    """Where the deliveries are made; from the day `changed_from` on the odds of a late one are `odds` times as high."""

    levels: dict[str, npt.NDArray[np.float64]]
    changed_from: date | None = None
    odds: float = 1.0

    def day(self, day: date) -> pd.DataFrame:
        """The day's rows in the order of their time: key, time, features, target."""
        number = (day - FIRST_DAY).days
        random = np.random.default_rng([SEED, number])
        rows = int(random.integers(LEAST_ROWS, MOST_ROWS, endpoint=True))
        minutes = np.sort(random.integers(60 * OPEN_HOURS[0], 60 * OPEN_HOURS[1], rows))
        hour = 24 * number + minutes // 60
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        frame = pd.DataFrame(
            {
                KEY: [f"{day:%Y%m%d}-{place:03d}" for place in range(rows)],
                TIME: [f"{begin + timedelta(minutes=int(one)):%Y-%m-%dT%H:%M:%SZ}" for one in minutes],
                **{name: self.levels[name][hour] for name in WEATHER},
                "weight": random.gamma(2.0, 3.0, rows).round(1),
                "distance": random.gamma(3.0, 4.0, rows).round(1),
                "depot": random.choice(["north", "south", "harbour"], rows, p=[0.5, 0.3, 0.2]),
            }
        )
        score = (
            -2.4
            + 0.9 * np.minimum(frame["rain"], 3)
            + 0.1 * (frame["wind"] - 4)
            - 0.05 * (frame["temperature"] - 12)
            + 0.07 * frame["distance"]
            + 0.05 * frame["weight"]
            + 0.5 * (frame["depot"] == "harbour")
        )
        if self.changed_from is not None and day >= self.changed_from:
            score += np.log(self.odds)
        late = random.random(rows) < 1 / (1 + np.exp(-score))
        # what a row costs to make does not depend on the odds, so the same day has the same rows under others
        frame["weight"] = frame["weight"].mask(random.random(rows) < 0.03)
        frame[TARGET] = late.astype(int)
        return frame

    def until(self, day: date) -> pd.DataFrame:
        """All rows of the days before one."""
        days = [FIRST_DAY + timedelta(days=number) for number in range((day - FIRST_DAY).days)]
        return pd.concat([self.day(one) for one in days], ignore_index=True)

    def with_odds(self, odds: float, changed_from: date) -> "Town":
        """The same town, in which the odds change."""
        return replace(self, odds=odds, changed_from=changed_from)


def frozen(rows: pd.DataFrame, since: date, levels: dict[str, npt.NDArray[np.float64]]) -> pd.DataFrame:
    """The rows as they are asked about while the weather feed says what it said at the end of the day before."""
    last = 24 * (since - FIRST_DAY).days - 1
    return rows.assign(**{name: levels[name][last] for name in WEATHER})


def records_of(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What a client sends of each row: its features, a missing number as None."""
    return [
        {name: None if value != value else value for name, value in zip(FEATURES, values, strict=True)}
        for values in rows[[*FEATURES]].itertuples(index=False)
    ]


def fork(target: Path, source: str) -> Path:
    """A checkout whose graph runs on the table at an address."""
    checkout = copy_checkout(target)
    (checkout / "dvc.lock").unlink(missing_ok=True)
    columns = [f"--target={TARGET}", f"--time={TIME}", f"--key={KEY}", f"--name={NAME}"]
    run("ontime", "init", f"--source={source}", *columns, "--no-run", cwd=checkout)
    validation, test = (served_day(-days) for days in (VALIDATION_DAYS + TEST_DAYS, TEST_DAYS))
    set_parameters(checkout, "split", validation_from=f"{validation}T00:00:00Z", test_from=f"{test}T00:00:00Z")
    commit(checkout, "fork")
    return checkout
