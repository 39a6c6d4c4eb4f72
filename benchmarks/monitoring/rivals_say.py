"""What NannyML and Evidently say of the replay's days, sound and faulty, and what NannyML's CBPE expects of its weeks.

The rows are those of the log and of the reference. A faulty day is given to a rival under a date of its own, because
the rivals group rows by date and look at nothing else of a time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.monitoring.environments import rival
from benchmarks.monitoring.input_alarms import Injected, starts

if TYPE_CHECKING:
    import pandas as pd

    from ontime.model_deployment.inference.champion import Champion

REFERENCE_FROM = "2013-06-01"
"""Evidently compares a day with the rows of June: with more it needs hours."""
DRIFTED_SHARE = 0.5
FIRST_DATE = "2030-01-01"
FEW = 4
"""Sound days that Evidently is asked about, and it is asked about one faulty day of each kind."""


@dataclass(frozen=True)
class Said:
    """Days with an alarm, of how many."""

    alarms: int
    days: int

    def __str__(self) -> str:
        return f"{self.alarms} of {self.days}"


class Rivals:
    """Files that rivals read: `reference.parquet`, `june.parquet` and `columns.json`, in a folder."""

    def __init__(self, asked_before: "pd.DataFrame", champion: "Champion", folder: Path) -> None:
        """Args: asked_before: rows before the replay, with `time`."""
        self.folder = folder
        self.columns = folder / "columns.json"
        self.features = champion.encoder.features
        names = {"numbers": list(champion.encoder.numbers), "categories": list(champion.encoder.categories)}
        folder.mkdir()
        self.columns.write_text(json.dumps(names))
        self.reference = self.write("reference", asked_before)
        self.june = self.write("june", asked_before[asked_before["time"] >= REFERENCE_FROM])

    def write(self, name: str, rows: "pd.DataFrame") -> Path:
        """Write the features and times of rows."""
        path = self.folder / f"{name}.parquet"
        rows[["time", *self.features]].to_parquet(path)
        return path

    def nannyml(self, groups: Mapping[str, list["pd.DataFrame"]]) -> dict[str, Said]:
        """Days of each group on which any column has an alarm."""
        found = rival("nannyml", "days", self.reference, self.write("days", dated(groups)), self.columns)
        return grouped([bool(found[day]) for day in sorted(found)], groups)

    def evidently(self, groups: Mapping[str, list["pd.DataFrame"]]) -> dict[str, Said]:
        """Days of each group on which the preset says that the data drifted."""
        found = rival("evidently", "days", self.june, self.write("few", dated(groups)), self.columns)
        return grouped([found[day] >= DRIFTED_SHARE for day in sorted(found)], groups)

    def cbpe(self, reference: "pd.DataFrame", rows: "pd.DataFrame") -> float:
        """Mean absolute error of NannyML's expected ROC AUC over the weeks that begin on the days of faults."""
        columns = self.folder / "no_columns.json"
        columns.write_text(json.dumps({"numbers": [], "categories": []}))
        paths = []
        for name, frame in (("answered", reference), ("labelled", rows)):
            paths.append(self.folder / f"{name}.parquet")
            frame[["time", "probability", "decision", "target"]].astype({"target": "int8"}).to_parquet(paths[-1])
        weeks = rival("nannyml", "cbpe", *paths, columns)
        errors: list[float] = [abs(weeks[start]["expected"] - weeks[start]["truth"]) for start in starts()]
        return sum(errors) / len(errors)


def dated(groups: Mapping[str, list["pd.DataFrame"]]) -> "pd.DataFrame":
    """All days of all groups in one frame, each on a date of its own."""
    import pandas as pd

    days = [day for group in groups.values() for day in group]
    dates = pd.date_range(FIRST_DATE, periods=len(days), tz="UTC")
    moved = [
        rows.assign(time=date + (rows["time"] - rows["time"].dt.floor("D")))
        for rows, date in zip(days, dates, strict=True)
    ]
    return pd.concat(moved, ignore_index=True)


def grouped(alarms: list[bool], groups: Mapping[str, list["pd.DataFrame"]]) -> dict[str, Said]:
    """Alarms in the order of `dated`, counted by group."""
    found, left = {}, list(alarms)
    for name, days in groups.items():
        mine, left = left[: len(days)], left[len(days) :]
        found[name] = Said(sum(mine), len(days))
    assert not left
    return found


def faulty_days(
    rows: "pd.DataFrame", faults: list[Injected], few: int | None = None
) -> dict[str, list["pd.DataFrame"]]:
    """The first days of each fault, the first few of them if so many are enough."""
    by_day = dict(list(rows.groupby("day")))
    return {one.name: [one.fault(by_day[day], number) for number, day in enumerate(starts())][:few] for one in faults}
