"""Compare what a deployed model was asked on a day with what it was made from.

In: the tables that `ontime log compact` writes, and the model's folder. Out, for each day since the model was made:
`OUTPUT/inputs/DAY.json` with the shift of each input, its limit and the day's counts; `OUTPUT/inputs.prom`, the last
day as metrics for Prometheus' text file collector; and a summary in Markdown.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np

from ontime.common.errors import OntimeError
from ontime.common.files import listed, read_json, sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.encoder import Encoder
from ontime.engine import Engine, each_result, sent_files
from ontime.model_deployment.export.profile import Counts
from ontime.model_deployment.export.reference import REFERENCE, Reference, read_reference
from ontime.model_deployment.export.rounding import rounded
from ontime.model_deployment.inference.manifest import VOCABULARY
from ontime.model_evaluation.settings import Evaluate
from ontime.monitoring.days import Checked, Day, Finding, day_options, say
from ontime.monitoring.input_counts import Counted, Counting, count_day
from ontime.monitoring.log_files import files_by_day
from ontime.monitoring.settings import Monitor
from ontime.monitoring.shifts import Shifts, shifts_of
from ontime.monitoring.text_file import check_gauges, gauge

SAID = "(probability)"
"""Stands for the model's answers, of any task, among the names of the inputs; no feature is called so."""
MOST_ROWS = 10
KEPT = ("versions", "segments", "other_schema")
"""What is kept of a day's count beside the bins."""


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
    slices = load_section("evaluate", Evaluate).slices
    k, hash_of_reference = load_section("monitor", Monitor).k, sha256(model / REFERENCE)
    kept_days = known_days(output / "inputs", hash_of_reference, max(reference.days), day)
    settings = {"k": k, "reference": hash_of_reference, "model_version": model_version, "slices": slices}
    how = Counting(encoder, reference.bins, model_version, slices)
    days = sorted({*files, *kept_days})
    tasks = []
    for one in days:
        source, found = kept_days.get(one, {}).get("source", {}), files.get(one, [])
        hashes = source.get("log") if source == {**settings, "log": source.get("log")} else None
        tasks.append((how, hashes, {file.version: file.where for file in found}, *(file.place for file in found)))
    results = each_result(count_day, tasks, load_section("engine", Engine).backend, sent_files)
    sound: dict[str, Counts] = {}
    for one, (hashes, counted) in zip(days, results, strict=True):
        known = kept_days.get(one, {})
        # a day that was removed from the log stays what it was
        source = {**settings, "log": hashes or known["source"]["log"]}
        if counted is None:
            counted = Counted(np.array(known["counts"]), *(known[name] for name in KEPT))
        shifts = shifts_of(reference, sound, one, counted.counts, k)
        if not shifts.alarms:
            sound[one] = counted.counts
        content = day_content(one, source, reference, shifts, counted)
        if content != known:
            write_json(output / "inputs" / f"{one}.json", content)
    write_text(output / "inputs.prom", metrics_of(content))
    findings = [Finding(one["cause"], one["found"], one["limit"]) for one in content["alarms"]]
    return Checked("inputs", findings, summary(content))


def known_days(folder: Path, reference: str, after: str, last: str) -> dict[str, dict[str, Any]]:
    """What earlier runs kept of the days between two, by the same reference."""
    days = {path.stem: read_json(path) for path in listed(folder, "*.json") if after < path.stem <= last}
    return {day: content for day, content in days.items() if content.get("source", {}).get("reference") == reference}


def day_content(
    day: str, source: dict[str, Any], reference: Reference, shifts: Shifts, counted: Counted
) -> dict[str, Any]:
    """What is kept of a day."""
    bins = reference.bins
    names = [*bins.features, SAID]
    causes = [
        *((name, "shift") for name in names),
        *((name, "missing") for name in bins.features),
        *((name, "unknown") for name in bins.categories),
    ]
    # a fault of an input is one cause; that its values are missing or unknown says more than that it moved
    worst: dict[str, int] = {}
    for place in sorted(shifts.alarms, key=lambda place: causes[place][1] == "shift"):
        worst.setdefault(causes[place][0], place)
    found, limit = np.concatenate([shifts.found, shifts.gap]), np.concatenate([shifts.limit, shifts.gap_limit])
    inputs = {
        name: {"shift": rounded(found[place]), "limit": rounded(limit[place])} for place, name in enumerate(names)
    }
    missing, unknown = np.split(bins.gap_shares(counted.counts), [len(bins.features)])
    for name, one in zip(bins.features, missing, strict=True):
        inputs[name]["missing"] = rounded(one)
    for name, one in zip(bins.categories, unknown, strict=True):
        inputs[name]["unknown"] = rounded(one)
    return {
        "day": day,
        "rows": int(counted.counts[: bins.sizes[0]].sum()),
        **{name: getattr(counted, name) for name in KEPT},
        "alarms": [
            {"cause": cause, "by": causes[place][1], "found": rounded(found[place]), "limit": rounded(limit[place])}
            for cause, place in worst.items()
        ],
        "compared_with": shifts.compared_with,
        "inputs": inputs,
        "counts": counted.counts.tolist(),
        "source": source,
    }


def metrics_of(content: dict[str, Any]) -> str:
    """A day in Prometheus' text format."""
    columns = content["inputs"].items()
    lines = [
        *check_gauges("inputs", content["day"], len(content["alarms"])),
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
        *gauge(
            "ontime_monitor_input_missing_share",
            "Share of the predictions without a value of the input.",
            [({"input": name}, one["missing"]) for name, one in columns if "missing" in one],
        ),
        *gauge(
            "ontime_monitor_input_unknown_share",
            "Share of the predictions with a category that the model does not know.",
            [({"input": name}, one["unknown"]) for name, one in columns if "unknown" in one],
        ),
    ]
    return "\n".join([*lines, ""])


def summary(content: dict[str, Any]) -> str:
    """A day in Markdown: what moved too far, or what came nearest to its limit."""
    alarms, compared = content["alarms"], content["compared_with"]
    verdict = f"{len(alarms)} moved too far" if alarms else "no input moved too far"
    rows = sorted(content["inputs"].items(), key=lambda one: -one[1]["shift"] / (one[1]["limit"] or 1))[:MOST_ROWS]
    table = [
        f"| {name} | {one['shift']:.3g} | {one['limit']:.3g} | {share(one, 'missing')} | {share(one, 'unknown')} |"
        for name, one in rows
    ]
    days = f"{len(compared)} sound days from {compared[0]} to {compared[-1]}" if compared else "no day"
    answered = content["versions"].get(content["source"]["model_version"], 0)
    others = f" {content['rows'] - answered:,} of them are of other versions." if answered < content["rows"] else ""
    return "\n".join(
        [
            f"## Inputs on {content['day']}: {verdict}",
            "",
            f"{content['rows']:,} predictions, compared with {days}.{others}",
            *schema_lines(content["other_schema"]),
            *(["", "| moved too far | by its | found | limit |", "|---|---|---:|---:|"] if alarms else []),
            *(f"| {one['cause']} | {one['by']} | {one['found']:.3g} | {one['limit']:.3g} |" for one in alarms),
            "",
            "| input | shift | limit | missing | unknown |",
            "|---|---:|---:|---:|---:|",
            *table,
            *segment_lines(content["segments"]),
        ]
    )


def share(one: dict[str, float], name: str) -> str:
    """A share in percent, nothing for a column that cannot have one."""
    return f"{one[name]:.1%}" if name in one else ""


def segment_lines(segments: dict[str, dict[str, Any]]) -> list[str]:
    """The segments in which the most is missing, in Markdown."""
    if not segments:
        return []
    first = sorted(segments.items(), key=lambda one: -one[1]["missing"])[:MOST_ROWS]
    table = []
    for name, one in first:
        most = one["most_missing"]
        most_missing = f"{most['input']} {most['missing']:.1%}" if most else ""
        table.append(f"| {name} | {one['share']:.1%} | {one['missing']:.1%} | {most_missing} |")
    return ["", "| segment | rows | missing | most missing |", "|---|---:|---:|---|", *table]


def schema_lines(other_schema: dict[str, dict[str, int]]) -> list[str]:
    """What of the log is not what the model takes, in Markdown."""
    words = {
        "absent": "not in the log, so missing",
        "foreign": "not a feature of the model",
        "other_type": "of another type than the model takes",
    }
    return [
        f"- `{name}`: {words[kind]}, in {count:,} rows"
        for kind, found in other_schema.items()
        for name, count in found.items()
    ]
