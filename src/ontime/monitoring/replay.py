"""Score a sample of a day's logged rows again, with the model that is said to have answered them.

In: the tables that `ontime log compact` writes, and the model's folder. Out: `OUTPUT/replay/DAY.json`, what differs and
what could not be compared; `OUTPUT/replay.prom`; and a summary in Markdown.
A sound service gives each row's own answer, within the tolerance that the model's golden records have. So nothing
is left to chance: one row beyond it means another model, another encoding or a changed log.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.common.files import sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.engine import Engine, run_tasks, sent_files
from ontime.model_deployment.export.rounding import rounded
from ontime.model_deployment.inference.champion import Champion, Outputs, load_champion
from ontime.model_deployment.inference.manifest import MANIFEST
from ontime.monitoring.days import Checked, Day, Finding, day_options, say
from ontime.monitoring.log_files import FEATURE, files_of_day, table_at
from ontime.monitoring.logged_rows import PLACE, logged_matrix, rows_named, sampled_rows
from ontime.monitoring.settings import Monitor
from ontime.monitoring.text_file import check_gauges, gauge

CAUSES = {"prediction": "replay", "shadow": "shadow"}
"""The cause of an alarm, by the event of its lines."""
NO_PREDICTION, LEFT_OUT, OTHER_TYPE = "no line of the prediction", "features left out", "values of another type"
"""Why a row cannot be scored again."""
MOST_EXAMPLES = 10


@click.command(name="replay")
@day_options
def command(day: Day) -> None:
    """Score a sample of DAY's rows again; exit status 3 if one has another answer.

    The model in --model must be the one that is said to have answered as --model-version. Lines of a shadow of that
    version are compared too, by the features in the lines of the predictions.
    """
    say(check(day))


@dataclass(frozen=True)
class LoggedDay:
    """What is looked at of a day: a sample of each event of a version, and how many rows it is taken of.

    `answered` are the predictions of the shadow's sample in the files of other versions, `others` those files' numbers
    of rows, and `hashes` the SHA-256 of each file, by version.
    """

    samples: dict[str, tuple[pd.DataFrame, int]]
    answered: pd.DataFrame
    others: dict[str, int]
    hashes: dict[str, str]


@dataclass(frozen=True)
class Replayed:
    """What became of the sampled rows of one event; `incomparable` counts rows by reason."""

    rows: int
    compared: int
    differing: int
    incomparable: dict[str, int]
    examples: list[dict[str, Any]]


def check(where: Day) -> Checked:
    """Score the day's sample again, and write what was found.

    Raises:
        OntimeError: the log has no rows of the day or of that version, or the model's folder is not sound.
    """
    files = files_of_day(where.log, where.day)
    addresses = {file.version: file.where for file in files}
    if where.model_version not in addresses:
        found = ", ".join(addresses)
        raise OntimeError(f"{where.log}: has no rows of version {where.model_version} on {where.day}, but of {found}")
    champion = load_champion(where.model, where.model_version)
    sample = load_section("monitor", Monitor).sample_rows
    task = (where.model_version, sample, addresses, *(file.place for file in files))
    (logged,) = run_tasks(logged_day, [task], load_section("engine", Engine).backend, sent_files)
    events = {event: replay_event(event, logged, champion) for event in CAUSES}
    content: dict[str, Any] = {
        "day": where.day,
        "alarms": {CAUSES[event]: one.differing for event, one in events.items() if one.differing},
        **{event: asdict(one) for event, one in events.items()},
        "other_versions": logged.others,
        "source": {
            "sample_rows": sample,
            "model_version": where.model_version,
            "model": sha256(where.model / MANIFEST),
            "log": logged.hashes,
        },
    }
    write_json(where.output / "replay" / f"{where.day}.json", content)
    write_text(where.output / "replay.prom", metrics_of(content))
    findings = [Finding(cause, differing, 0) for cause, differing in content["alarms"].items()]
    return Checked("replay", findings, summary(content, champion.manifest.golden_tolerance))


def logged_day(version: str, sample: int, addresses: Mapping[str, str], *places: Path | str) -> LoggedDay:
    """Read what is looked at of a day.

    Args:
        sample: size of each event's.
        addresses: of the day's files, by version; places: where they are, in the same order.
    """
    tables = {name: table_at(where, place) for (name, where), place in zip(addresses.items(), places, strict=True)}
    others = {name: table for name, table in tables.items() if name != version}
    samples = {event: sampled_rows(tables[version], event, sample) for event in CAUSES}
    return LoggedDay(
        samples,
        # they have the features of a shadow's rows
        rows_named(others.values() if len(samples["shadow"][0]) else [], samples["shadow"][0]),
        {name: table.rows for name, table in others.items()},
        {name: table.sha256 for name, table in tables.items()},
    )


def replay_event(event: str, day: LoggedDay, champion: Champion) -> Replayed:
    """Score a day's sample of one event again."""
    rows, total = day.samples[event]
    if not len(rows):
        return Replayed(total, 0, 0, {}, [])
    answered = np.ones(len(rows), dtype=np.bool_)
    if event == "shadow":
        rows, answered = with_features(rows, day.answered)
    features = len(champion.encoder.features)
    logged = logged_matrix(rows, champion.encoder)
    reasons = {
        NO_PREDICTION: ~answered,
        LEFT_OUT: (rows["features"] < features).to_numpy() | bool(logged.absent),
        OTHER_TYPE: logged.other_type.any(axis=1),
    }
    comparable, incomparable = np.ones(len(rows), dtype=np.bool_), {}
    for reason, concerned in reasons.items():
        if count := int((comparable & concerned).sum()):
            incomparable[reason] = count
        comparable &= ~concerned
    rows = rows[comparable]
    outputs = champion.predict(logged.matrix[comparable])
    different = differs(rows, outputs, champion)
    examples = examples_of(rows[different], outputs[different], champion)
    return Replayed(total, len(rows), int(different.sum()), incomparable, examples)


def with_features(rows: pd.DataFrame, answered: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """A shadow's rows with the features in the lines of the predictions, and which have such a line: (rows,)."""
    columns = [name for name in answered if name == "features" or str(name).startswith(FEATURE)]
    own = [name for name in rows if name not in columns]
    merged = rows[own].merge(answered[[*PLACE, *columns]], on=PLACE, how="left", indicator=True)
    return merged, (merged.pop("_merge") == "both").to_numpy()


def differs(rows: pd.DataFrame, outputs: Outputs, champion: Champion) -> npt.NDArray[np.bool_]:
    """Which rows (rows,) have another answer than the model gives, beyond its tolerance."""
    answer = champion.answer
    absent = [name for name in answer.types if name not in rows]
    if absent:
        return np.ones(len(rows), dtype=np.bool_)
    logged = {name: rows[name].to_numpy() for name in answer.types}
    return ~answer.agrees(logged, outputs, champion.manifest.golden_tolerance)


def examples_of(rows: pd.DataFrame, outputs: Outputs, champion: Champion) -> list[dict[str, Any]]:
    """The first of the rows that differ, with what was logged and what the model gives."""
    answer = champion.answer
    first: list[dict[Any, Any]] = rows.head(MOST_EXAMPLES).to_dict("records")
    replayed = {name: answer.values(name, outputs).tolist() for name in answer.types}
    return [
        {
            **{name: row[name] for name in PLACE},
            "logged": {name: _plain(row.get(name)) for name in answer.types},
            "replayed": {name: _plain(values[place]) for name, values in replayed.items()},
        }
        for place, row in enumerate(first)
    ]


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, list | np.ndarray):
        return [rounded(one) for one in value]
    return bool(value) if isinstance(value, bool | np.bool_) else rounded(value)


def metrics_of(content: dict[str, Any]) -> str:
    """A day in Prometheus' text format."""
    counts = {name: sum(content[event][name] for event in CAUSES) for name in ("compared", "differing")}
    lines = [
        *check_gauges("replay", content["day"], len(content["alarms"])),
        *gauge("ontime_monitor_replayed_rows", "Logged rows that were scored again.", [({}, counts["compared"])]),
        *gauge(
            "ontime_monitor_replay_differing_rows",
            "Rows that have another answer when they are scored again.",
            [({}, counts["differing"])],
        ),
    ]
    return "\n".join([*lines, ""])


def shown(answer: Mapping[str, Any]) -> str:
    """The number of an answer, which comes first."""
    number = next(iter(answer.values()))
    return "none" if number is None else f"{number:.6f}"


def summary(content: dict[str, Any], tolerance: float) -> str:
    """A day in Markdown."""
    differing = sum(content["alarms"].values())
    verdict = f"{differing:,} rows differ" if differing else "no row differs"
    lines = [f"## Replay of {content['day']}: {verdict}", ""]
    for event in CAUSES:
        one = content[event]
        if one["rows"]:
            left = "".join(f"; {count:,} not comparable: {reason}" for reason, count in one["incomparable"].items())
            lines.append(
                f"- {event}: {one['compared']:,} of {one['rows']:,} rows scored again, {one['differing']:,} differ by "
                f"more than {tolerance:g}{left}"
            )
    lines += [
        f"- not looked at: {rows:,} rows of version {version}" for version, rows in content["other_versions"].items()
    ]
    examples = [one for event in CAUSES for one in content[event]["examples"]]
    if examples:
        lines += ["", "| request | row | logged | replayed |", "|---|---:|---:|---:|"]
        lines += [
            f"| {one['request_id']} | {one['row']} | {shown(one['logged'])} | {shown(one['replayed'])} |"
            for one in examples
        ]
    return "\n".join(lines)
