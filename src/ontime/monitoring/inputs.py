"""Compare what a deployed model was asked on a day with what it was made from.

In: the tables that `ontime log compact` writes, and the model's folder. Out, for each day since the model was made:
`OUTPUT/inputs/DAY.json` with the shift of each input, its limit and the day's counts; `OUTPUT/inputs.prom`, the last
day as metrics for Prometheus' text file collector; and a summary in Markdown.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.encoder import Encoder
from ontime.model_deployment.export.profile import Counts
from ontime.model_deployment.export.reference import REFERENCE, Reference, read_reference
from ontime.model_deployment.inference.manifest import VOCABULARY
from ontime.monitoring.days import Checked, Day, Finding, day_options, files_by_day, kept, say
from ontime.monitoring.log import FEATURE
from ontime.monitoring.settings import Monitor
from ontime.monitoring.shifts import Shifts, shifts_of
from ontime.monitoring.text_file import gauge, midnight

PROBABILITY = "(probability)"
"""Stands for the model's answers among the names of the inputs; no feature of the service is called so."""
MOST_ROWS = 10


@click.command(name="inputs")
@day_options
def command(day: Day) -> None:
    """Compare the inputs of DAY, as in 2013-07-01, with the days before it; exit status 3 if one moved too far.

    Inputs are those of all versions, since a canary's requests are the stable version's too.
    """
    say(check(day))


def check(where: Day) -> Checked:
    """Compare the inputs of a day with the sound days before it, and write what is kept of them.

    Raises:
        OntimeError: the model has no reference of more than 28 days, or the log has no predictions of the day.
    """
    day, log, model, model_version, output = where.day, where.log, where.model, where.model_version, where.output
    reference = read_reference(model / REFERENCE)
    if not reference.compared_days:
        raise OntimeError(f"{model / REFERENCE}: too few days; the model needs rows of more than 28 days")
    encoder = Encoder.from_vocabulary(read_json(model / VOCABULARY))
    if encoder.features != reference.bins.features:
        raise OntimeError(f"{model}: {REFERENCE} and {VOCABULARY} have different features")
    files = files_by_day(log, after=max(reference.days), last=day)
    if day not in files:
        raise OntimeError(
            f"{log}: has no predictions of {day} after the reference, which ends on {max(reference.days)}"
        )
    k, hash_of_reference = load_section("monitor", Monitor).k, sha256(model / REFERENCE)
    sound: dict[str, Counts] = {}
    for one, found in files.items():
        source = {
            "k": k,
            "reference": hash_of_reference,
            "model_version": model_version,
            "log": {str(path.relative_to(log)): sha256(path) for path in found},
        }
        path = output / "inputs" / f"{one}.json"
        known = read_json(path) if path.is_file() else {}
        same = known.get("source") == source
        counts = np.array(known["counts"]) if same else count_rows(found, encoder, reference, model_version)
        shifts = shifts_of(reference, sound, one, counts, k)
        if not shifts.alarms:
            sound[one] = counts
        content = day_content(one, source, reference, shifts, counts)
        if content != known:
            write_json(path, content)
    write_text(output / "inputs.prom", metrics_of(content))
    return Checked("inputs", [Finding(**one) for one in content["alarms"]], summary(content))


def count_rows(files: list[Path], encoder: Encoder, reference: Reference, model_version: str) -> Counts:
    """Rows of a day's files by bin: (bins,). A feature that a file lacks is missing in all its rows."""
    counts = np.zeros(reference.bins.total, dtype=np.int64)
    for path in files:
        rows = pd.read_parquet(path)
        rows = rows[rows["event"] == "prediction"]
        columns = {
            name: rows[FEATURE + name].to_numpy() if FEATURE + name in rows else np.full(len(rows), np.nan)
            for name in encoder.features
        }
        answered = path.parent.parent.name == f"model_version={model_version}"
        probability = rows["probability"].to_numpy() if answered else np.full(len(rows), np.nan)
        if len(rows):
            group = np.zeros(len(rows), dtype=np.int64)
            counts += reference.bins.count(encoder.transform(columns), probability, group, 1)[0]
    return counts


def day_content(
    day: str, source: dict[str, Any], reference: Reference, shifts: Shifts, counts: Counts
) -> dict[str, Any]:
    """What is kept of a day."""
    bins = reference.bins
    names = [*bins.features, PROBABILITY]
    causes = [*names, *(f"{name} missing" for name in bins.features), *(f"{name} unknown" for name in bins.categories)]
    found, limit = np.concatenate([shifts.found, shifts.gap]), np.concatenate([shifts.limit, shifts.gap_limit])
    return {
        "day": day,
        "rows": int(counts[: reference.bins.sizes[0]].sum()),
        "alarms": [
            {"cause": causes[place], "found": kept(found[place]), "limit": kept(limit[place])}
            for place in shifts.alarms
        ],
        "compared_with": shifts.compared_with,
        "inputs": {
            name: {"shift": kept(found), "limit": kept(limit)}
            for name, found, limit in zip(names, shifts.found, shifts.limit, strict=True)
        },
        "counts": counts.tolist(),
        "source": source,
    }


def metrics_of(content: dict[str, Any]) -> str:
    """A day in Prometheus' text format."""
    columns = content["inputs"].items()
    lines = [
        *gauge(
            "ontime_monitor_day_timestamp_seconds",
            "Beginning of the day that was looked at.",
            [({"check": "inputs"}, midnight(content["day"]))],
        ),
        *gauge(
            "ontime_monitor_alarms", "Causes of an alarm on the day.", [({"check": "inputs"}, len(content["alarms"]))]
        ),
        *gauge("ontime_monitor_rows", "Predictions of the day.", [({}, content["rows"])]),
        *gauge(
            "ontime_monitor_input_shift",
            "Population stability index of an input against the sound days before.",
            [({"input": name}, one["shift"]) for name, one in columns],
        ),
        *gauge(
            "ontime_monitor_input_shift_limit",
            "Index above which the input raises an alarm.",
            [({"input": name}, one["limit"]) for name, one in columns],
        ),
    ]
    return "\n".join([*lines, ""])


def summary(content: dict[str, Any]) -> str:
    """A day in Markdown: what moved too far, or what came nearest to its limit."""
    alarms, compared = content["alarms"], content["compared_with"]
    verdict = f"{len(alarms)} moved too far" if alarms else "no input moved too far"
    rows = sorted(content["inputs"].items(), key=lambda one: -one[1]["shift"] / (one[1]["limit"] or 1))[:MOST_ROWS]
    table = [f"| {name} | {one['shift']:.3g} | {one['limit']:.3g} |" for name, one in rows]
    days = f"{len(compared)} sound days from {compared[0]} to {compared[-1]}" if compared else "no day"
    return "\n".join(
        [
            f"## Inputs on {content['day']}: {verdict}",
            "",
            f"{content['rows']:,} predictions, compared with {days}.",
            *(["", "| moved too far | by | limit |", "|---|---:|---:|"] if alarms else []),
            *(f"| {one['cause']} | {one['found']:.3g} | {one['limit']:.3g} |" for one in alarms),
            "",
            "| input | shift | limit |",
            "|---|---:|---:|",
            *table,
        ]
    )
