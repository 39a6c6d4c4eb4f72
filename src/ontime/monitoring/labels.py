"""Compare what a deployed model answered with what happened, once the labels of a day are known.

In: the tables that `ontime log compact` writes, whose rows have the keys that callers sent; labels by key; the model's
folder. Out: `OUTPUT/labels/DAY.json` with the quality over the last seven days with labels beside the quality that is
expected, the series and their limits; `OUTPUT/labels/days/`, what is kept of each day;
`OUTPUT/labels.prom`, the day as metrics for Prometheus' text file collector; and a summary in Markdown.
"""

from typing import Any

import click
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.common.files import listed, sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.model_deployment.export.label_series import SERIES_DAYS, LabelReference
from ontime.model_deployment.export.label_sums import ALL, OFFSET, Measures
from ontime.model_deployment.export.reference import REFERENCE, WINDOW_DAYS, read_reference
from ontime.model_deployment.export.rounding import rounded
from ontime.model_evaluation.settings import Decision, Evaluate
from ontime.monitoring.day_files import read_days
from ontime.monitoring.days import Checked, Day, Finding, day_options, say
from ontime.monitoring.label_days import FOLDER, LabelledDay, Rules, refreshed
from ontime.monitoring.label_kinds import Labels, labels_of
from ontime.monitoring.label_report import metrics_of, summary
from ontime.monitoring.label_source import read_labels
from ontime.monitoring.log_files import LogFile, files_by_day
from ontime.monitoring.settings import Monitor


@click.command(name="labels")
@click.option(
    "--labels",
    "address",
    required=True,
    help="CSV or parquet file with key, target and known_at: a path or an address; with --query, a database's.",
)
@click.option("--query", help="What the database is asked, in SQL; its answer has key, target and known_at.")
@day_options
def command(day: Day, address: str, query: str | None) -> None:
    """Compare what the model answered on DAY, as in 2013-07-01, with what happened; exit status 3 beyond a limit.

    Labels that were known by `monitor.watermark_hours` after the day's end count. Seven days with labels are looked at
    together.
    """
    say(check(day, read_labels(address, query, labels_of(day.model))))


def check(where: Day, labels: pd.DataFrame) -> Checked:
    """Compare a day's answers, and those of the days before it, with labels, and write what is kept of them.

    Args:
        labels: as `read_labels` returns them.

    Raises:
        OntimeError: the log has no predictions of the model version on the day.
    """
    kind = labels_of(where.model)
    monitor, decision = load_section("monitor", Monitor), load_section("decision", Decision)
    reference = read_reference(where.model / REFERENCE).labels or LabelReference(days=0)
    rules = Rules(
        kind,
        where.model_version,
        monitor.watermark_hours,
        load_section("evaluate", Evaluate).slices,
        reference.group_rate,
    )
    days = _last_days(where, labels, rules)
    labelled = [day for day in days if day.sums.rows]
    series = _series(kind.measures, labelled, reference)
    findings = _findings(where.day, labelled, series)
    content = _content(where, kind, days[-1], labelled, reference, series, findings, decision)
    write_json(where.output / "labels" / f"{where.day}.json", content)
    write_text(where.output / "labels.prom", metrics_of(content))
    return Checked("labels", findings, summary(content))


def _last_days(where: Day, labels: pd.DataFrame, rules: Rules) -> list[LabelledDay]:
    """The last days with labels, at most `SERIES_DAYS`, oldest first; the day itself even if it has none.

    Earlier days that were quarantined are left out: what a model answers to wrong inputs says nothing of the model, and
    for a week after the fault its labels would ask for another one.

    Raises:
        OntimeError: the day has no predictions of the version.
    """
    by_day = files_by_day(where.log, after="", last=where.day)
    every = (file for found in by_day.values() for file in found)
    files: dict[str, LogFile] = {file.day: file for file in every if file.version == where.model_version}
    before = {path.stem for path in listed(where.output / FOLDER, "*.json") if path.stem <= where.day}
    quarantined = {one.day for one in read_days(where.output, where.day) if one.quarantined}
    recent = sorted({*files, *before} - (quarantined - {where.day}))[-WINDOW_DAYS:]
    chosen: list[LabelledDay] = []
    for day in reversed(recent):
        one = refreshed(where.output, day, files.get(day), labels, rules)
        if one is not None and (one.sums.rows or day == where.day):
            chosen.append(one)
        if len(chosen) == SERIES_DAYS:
            break
    if not chosen or chosen[0].day != where.day:
        raise OntimeError(f"{where.log}: has no predictions of version {where.model_version} on {where.day}")
    return chosen[::-1]


def _findings(day: str, labelled: list[LabelledDay], series: list[dict[str, Any]]) -> list[Finding]:
    """The series beyond their limits, the farthest first; none before there are `SERIES_DAYS` days with labels."""
    if len(labelled) < SERIES_DAYS or labelled[-1].day != day:
        return []
    found = [
        Finding(_cause(one), one["shift"], one["limit"])
        for one in series
        if one["limit"] is not None and abs(one["shift"]) > one["limit"]
    ]
    return sorted(found, key=lambda finding: -abs(finding.found) / finding.limit)


def _cause(one: dict[str, Any]) -> str:
    """What a series beyond its limit is called: its name, or its segment where that has one series alone."""
    names = [one["segment"]] if one["segment"] and one["series"] == OFFSET else [one["series"], one["segment"]]
    return ", ".join(name for name in names if name)


def _content(
    where: Day,
    kind: Labels,
    last: LabelledDay,
    labelled: list[LabelledDay],
    reference: LabelReference,
    series: list[dict[str, Any]],
    findings: list[Finding],
    decision: Decision,
) -> dict[str, Any]:
    """What is kept of the check; `last` is the day itself, which may have no labels."""
    measures = kind.measures
    window = measures.added([day.sums for day in labelled])
    usual = {series: float(one.usual) for series, one in reference.by_series().items()}
    found = measures.quality(window, usual) if window.rows else {}
    costs = kind.costs([day.warnings for day in labelled], window, decision)
    if costs:
        found["cost_per_1000"] = {"truth": costs["model"], "expected": costs.pop("expected")}
    return {
        "day": where.day,
        "alarms": [finding.cause for finding in findings],
        "counts": last.counts,
        "warnings": {name: last.warnings[name] for name in kind.told},
        "window": {"days": [day.day for day in labelled], "rows": window.rows},
        "quality": {
            metric: {kind: rounded(value) for kind, value in values.items() if value == value}
            for metric, values in found.items()
        },
        "cost_per_1000": costs,
        "series": series,
        "segments": {
            name: {"rows": int(sums[0]), **{metric: rounded(one) for metric, one in measures.of_segment(sums).items()}}
            for name, sums in sorted(window.segments.items())
            if name != ALL
        },
        "source": {
            "reference": sha256(where.model / REFERENCE),
            "model_version": where.model_version,
            "decision": decision.model_dump(),
        },
    }


def _series(measures: Measures, days: list[LabelledDay], reference: LabelReference) -> list[dict[str, Any]]:
    """Each series' value over the days, how far that is from usual, and how far it may be, if that is known."""
    if not days:
        return []
    sums = measures.stacked([measures.added([day.sums for day in days])])
    limits, found = reference.by_series(), []
    for (name, segment), values in measures.shifts(*sums).items():
        value, usual = float(values[0]), limits.get((name, segment))
        if value == value and (usual or name not in measures.not_centred):
            found.append(
                {
                    "series": name,
                    "segment": segment,
                    "value": rounded(value),
                    "shift": rounded(value - usual.usual) if usual else rounded(value),
                    "limit": float(usual.limit) if usual else None,
                }
            )
    return found
