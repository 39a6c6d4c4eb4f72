"""What `ontime monitor labels` says of the replay: as it was, and with the labels of seven days changed.

The command looks at seven days with labels together, so a change that began a week before is looked at whole. An alarm
counts for a change if it has a cause that the same day has not without it. Changed labels cost the command nothing: it
counts the days anew whose labels changed.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.monitoring import faults
from benchmarks.monitoring.input_alarms import starts
from benchmarks.monitoring.replay import LABELS, VERSION, Replay, run_ontime, with_options

if TYPE_CHECKING:
    import pandas as pd

DAYS = 7
CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ")
"""The six largest; another one at each start."""
LATE_MINUTES = 30


@dataclass(frozen=True)
class Changed:
    """A change of the labels, and the share of starts on which it is to be found within seven days."""

    name: str
    labels: Callable[["pd.DataFrame", int], "pd.Series[Any]"]
    """From the rows of the seven days with `target`, `other_target`, `carrier` and `probability`, and the start."""
    goal: float


CHANGES = (
    Changed("late from 30 minutes on, not 15", lambda rows, _: rows["other_target"], 0.85),
    Changed("odds times two", lambda rows, start: faults.odds_doubled(rows, start), 0.85),
    Changed(
        "odds times two of one carrier",
        lambda rows, start: faults.odds_doubled(rows, start).where(
            rows["carrier"] == CARRIERS[start % len(CARRIERS)], rows["target"]
        ),
        0.9,
    ),
)


class Labels:
    """The replay's labels, and what the command says with them or with others."""

    def __init__(self, replay: Replay, rows: "pd.DataFrame", folder: Path) -> None:
        from ontime.monitoring.label_kinds import labels_of
        from ontime.monitoring.label_source import read_labels

        other = with_options(replay.workspace, folder, late_minutes=LATE_MINUTES)
        run_ontime(other, ["labels", LABELS])
        self.replay = replay
        kind = labels_of(replay.model)
        self.labels = read_labels(str(replay.workspace / LABELS), None, kind).merge(rows[["key", "day"]], on="key")
        named = rows[["key", "day", "carrier", "probability"]]
        others = read_labels(str(other / LABELS), None, kind)[["key", "target"]]
        others = others.rename(columns={"target": "other_target"})
        self.rows = named.merge(self.labels[["key", "target"]], on="key").merge(others, on="key")

    def check(self, day: str, labels: "pd.DataFrame") -> dict[str, Any]:
        """What the command keeps of a day, for which the labels of a fortnight are enough."""
        from ontime.monitoring.days import Day
        from ontime.monitoring.labels import check

        output = self.replay.workspace / "monitoring"
        known = labels[(labels["day"] > before(day, 2 * DAYS)) & (labels["day"] <= day)]
        with contextlib.chdir(self.replay.workspace):
            check(Day(day, str(self.replay.log), self.replay.model, VERSION, output), known)
        content: dict[str, Any] = json.loads((output / "labels" / f"{day}.json").read_text())
        return content

    def sound(self, days: list[str]) -> dict[str, dict[str, Any]]:
        """What is kept of each day with the labels as they were."""
        return {day: self.check(day, self.labels) for day in days}

    def found(self, change: Changed, sound: dict[str, dict[str, Any]]) -> list[bool]:
        """For each start whether an alarm came on the seventh day."""
        return [
            bool(set(self.check(last, self.changed(change, number, last))["alarms"]) - set(sound[last]["alarms"]))
            for number, last in enumerate(map(seventh_day, starts()))
        ]

    def changed(self, change: Changed, start: int, last: str) -> "pd.DataFrame":
        """All labels, those of the seven days changed."""
        rows = self.rows[(self.rows["day"] > before(last, DAYS)) & (self.rows["day"] <= last)]
        targets = dict(zip(rows["key"], change.labels(rows, start), strict=True))
        mine = self.labels["key"].isin(targets.keys())
        return self.labels.assign(target=self.labels["target"].mask(mine, self.labels["key"].map(targets)))


def before(day: str, days: int) -> str:
    """The day so many days before another."""
    from datetime import date, timedelta

    return str(date.fromisoformat(day) - timedelta(days=days))


def seventh_day(start: str) -> str:
    """The last of seven days."""
    return before(start, 1 - DAYS)


def errors(weeks: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Mean absolute error of the quality that probabilities alone expect, by metric, over weeks."""
    pairs: dict[str, list[float]] = {}
    for content in weeks.values():
        for metric, one in content["quality"].items():
            pairs.setdefault(metric, []).append(abs(one["truth"] - one["expected"]))
    return {metric: sum(found) / len(found) for metric, found in pairs.items()}
