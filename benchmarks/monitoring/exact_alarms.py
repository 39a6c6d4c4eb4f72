"""What `ontime monitor replay` and `ontime monitor skew` say of faults that distributions hide.

Features that were late, old, exchanged or standing still are answered as they come, so the answers are those of the
logged features, and only the graph's features tell: skew. An answer of another model is told by replay.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.monitoring import faults
from benchmarks.monitoring.input_alarms import starts
from benchmarks.monitoring.label_alarms import before
from benchmarks.monitoring.replay import (
    VERSION,
    Replay,
    answer,
    changed_day,
    encoded,
    run_ontime,
    served_rows,
    with_options,
)

if TYPE_CHECKING:
    import pandas as pd

    from ontime.model_deployment.inference.champion import Champion

HOURS_LATE = 2
CHECKS = ("replay", "skew")


@dataclass(frozen=True)
class Hidden:
    """A fault, the check that is to find it on each first day, and the day's rows as it leaves them, by day."""

    name: str
    check: str
    rows: Callable[[str], "pd.DataFrame"]


def hidden(replay: Replay, rows: "pd.DataFrame", champion: "Champion", folder: Path) -> list[Hidden]:
    """The faults.

    Features that are hours late are computed by the project itself, as of an earlier cutoff. The other model is the one
    before it was fitted on validation rows too.
    """
    from ontime.common import paths
    from ontime.model_training.families import load_model

    by_day = dict(list(rows.groupby("day")))
    late = late_rows(replay, rows, folder)
    family = champion.manifest.model
    earlier = load_model(family, replay.workspace / paths.training_run(family) / "model")

    def answered(fault: Callable[[str], "pd.DataFrame"]) -> Callable[[str], "pd.DataFrame"]:
        return lambda day: answer(fault(day), champion)

    def of_another_model(day: str) -> "pd.DataFrame":
        probability = earlier.predict(encoded(by_day[day], champion)).astype(np.float32)
        return by_day[day].assign(probability=probability, decision=champion.answer.values("decision", probability))

    return [
        Hidden(f"features {HOURS_LATE} hours late", "skew", answered(lambda day: late[day])),
        Hidden(
            "features a day old",
            "skew",
            answered(lambda day: faults.a_day_old(by_day[day], by_day[before(day, 1)])),
        ),
        Hidden("two features exchanged", "skew", answered(lambda day: faults.exchanged(by_day[day], "temp", "dewp"))),
        Hidden("weather stands still", "skew", answered(lambda day: faults.frozen(by_day[day]))),
        Hidden("answers of another model", "replay", of_another_model),
    ]


def late_rows(replay: Replay, rows: "pd.DataFrame", folder: Path) -> "dict[str, pd.DataFrame]":
    """The rows by day, with the features that were known hours earlier."""
    from ontime.common.params import load_section
    from ontime.datasets.source import Data

    cutoff = load_section("data", Data, replay.workspace / "params.yaml").options["cutoff_minutes"]
    other = with_options(replay.workspace, folder, cutoff_minutes=cutoff + 60 * HOURS_LATE)
    (other / "data" / "processed").mkdir()
    run_ontime(other, ["featurize"])
    earlier = served_rows(other).set_index("key").reindex(rows["key"]).reset_index()
    by_day = earlier.assign(time=rows["time"], day=rows["day"]).groupby("day")
    return {str(day): one for day, one in by_day}


def sound_alarms(replay: Replay) -> dict[str, list[str]]:
    """Days of the sound log on which a check raises an alarm, of those on which faults begin."""
    return {check: [day for day in starts() if _alarmed(replay, check, day)] for check in CHECKS}


def found_on_first_day(replay: Replay, champion: "Champion", one: Hidden) -> list[bool]:
    """For each start whether the check raised an alarm on the first day."""
    found = []
    for day in starts():
        with changed_day(replay, day, one.rows(day), champion):
            found.append(_alarmed(replay, one.check, day))
    return found


def _alarmed(replay: Replay, name: str, day: str) -> bool:
    from ontime.monitoring import replay as scoring
    from ontime.monitoring import skew
    from ontime.monitoring.days import Day

    check = {"replay": scoring.check, "skew": skew.check}[name]
    with contextlib.chdir(replay.workspace):
        where = Day(day, str(replay.log), replay.model, VERSION, replay.workspace / "monitoring")
        return bool(check(where).findings)
