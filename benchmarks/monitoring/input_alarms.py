"""What `ontime monitor inputs` says of the replay's days, as they were and with a fault injected.

Alarms of sound days are false unless the raw tables themselves lack the values that the alarm names. A day is looked at
as the command does it, one file of the log after another; an alarm counts for a fault if it has a cause that the same
day without the fault has not.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.monitoring import faults
from benchmarks.monitoring.replay import FIRST_DAY, LAST_DAY, VERSION, Replay, answer, changed_day

if TYPE_CHECKING:
    import pandas as pd

    from ontime.model_deployment.inference.champion import Champion

COOL_DOWN_DAYS = 7
"""Alarms so soon after the first of an episode are the same episode."""
FIRST_START, STARTS = "2013-07-08", 23
"""A fault begins on the same day of each week."""
STATIONS = 3
HOURS_OF_A_DAY = 24


@dataclass(frozen=True)
class Injected:
    """A fault, and on how many of its 23 starts an alarm is due on the first day."""

    name: str
    fault: Callable[["pd.DataFrame", int], "pd.DataFrame"]
    """From a day's rows and the number of the start."""
    goal: int | None


def injected(features: list[str]) -> list[Injected]:
    """The faults; goals are the counts that were measured when the check was designed."""
    large, small = "UA", "FL"
    return [
        Injected("a feature is missing", lambda rows, _: faults.without(rows, "previous_leg_delay"), 23),
        Injected(
            "a feature is missing, each time another",
            lambda rows, start: faults.without(rows, features[start * len(features) // STARTS]),
            None,
        ),
        Injected("temperature in Celsius", lambda rows, _: faults.in_celsius(rows), 19),
        Injected("wind in knots", lambda rows, _: faults.in_knots(rows), None),
        Injected("a carrier of 17 % renamed", lambda rows, _: faults.renamed(rows, large), 23),
        Injected("a carrier of 1 % renamed", lambda rows, _: faults.renamed(rows, small), 16),
        Injected("clock off by an hour", lambda rows, _: faults.clock_off(rows, 1), 23),
        Injected("clock off by four hours", lambda rows, _: faults.clock_off(rows, 4), 23),
        Injected("weather lost by 5 % of the rows", lambda rows, start: faults.weather_lost(rows, 0.05, start), 23),
        Injected("weather lost by 30 % of the rows", lambda rows, start: faults.weather_lost(rows, 0.3, start), 23),
        Injected("codes of another vocabulary", lambda rows, _: faults.other_vocabulary(rows), 23),
        Injected("weather stands still", lambda rows, _: faults.frozen(rows), None),
    ]


def starts() -> list[str]:
    """The days on which faults begin."""
    first = date.fromisoformat(FIRST_START)
    return [str(first + timedelta(days=7 * number)) for number in range(STARTS)]


def alarms_by_day(replay: Replay) -> dict[str, list[dict[str, Any]]]:
    """What the check says of each day of the sound log: none for a day without alarm."""
    _check(replay, LAST_DAY)
    found = sorted((replay.workspace / "monitoring" / "inputs").glob("*.json"))
    return {path.stem: json.loads(path.read_text())["alarms"] for path in found if path.stem >= FIRST_DAY}


def missing_in_raw(raw: Path, day: str, alarms: Iterable[dict[str, Any]]) -> str | None:
    """Why an alarm of a sound day is true: the raw weather lacks values that the alarm says are missing; else None."""
    import pandas as pd

    weather = pd.concat([pd.read_parquet(path) for path in sorted((raw / "weather").glob("*.parquet"))])
    hours = weather[weather["time_hour"].dt.strftime("%Y-%m-%d") == day]
    expected = STATIONS * HOURS_OF_A_DAY
    for alarm in alarms:
        name = alarm["cause"]
        if alarm["by"] == "missing" and name in hours and hours[name].notna().sum() < expected:
            return f"the raw tables have {name} for {hours[name].notna().sum()} of {expected} hours of stations"
    return None


def episodes(days: Iterable[str]) -> list[str]:
    """First days of episodes of alarms."""
    found: list[date] = []
    for day in sorted(map(date.fromisoformat, days)):
        if not found or day - found[-1] >= timedelta(days=COOL_DOWN_DAYS):
            found.append(day)
    return [str(day) for day in found]


def found_on_first_day(
    replay: Replay, rows: "pd.DataFrame", champion: "Champion", sound: dict[str, list[str]], one: Injected
) -> list[bool]:
    """For each start whether the fault's own alarm came on its first day."""
    by_day = dict(list(rows.groupby("day")))
    found = []
    for number, day in enumerate(starts()):
        faulty = answer(one.fault(by_day[day], number), champion)
        with changed_day(replay, day, faulty, champion):
            found.append(bool(set(_check(replay, day)) - set(sound[day])))
    return found


def _check(replay: Replay, day: str) -> list[str]:
    """Causes of the day's alarm."""
    from ontime.monitoring.days import Day
    from ontime.monitoring.inputs import check

    where = Day(day, str(replay.log), replay.model, VERSION, replay.workspace / "monitoring")
    with contextlib.chdir(replay.workspace):
        return [finding.cause for finding in check(where).findings]
