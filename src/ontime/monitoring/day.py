"""All checks of a day, what follows from them, and a report.

In: what the checks read, and the days that were checked before. Out: what the checks write; `OUTPUT/day/DAY.json`, the
alarms and what follows from them; `OUTPUT/day.prom`, all metrics; `OUTPUT/report.md` with its pictures. The file of the
day comes last: after an interruption there is none, and another run gives the same bytes.
"""

from pathlib import Path

import click

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import write_text
from ontime.common.params import load_section
from ontime.model_deployment.export.reference import REFERENCE, read_reference
from ontime.monitoring.checks import CHECKS, LabelSource
from ontime.monitoring.day_files import DayRecord, Found, found_of, read_days, write_day
from ontime.monitoring.day_report import write_report
from ontime.monitoring.days import ALARM, Checked, Day, day_options
from ontime.monitoring.decision import challenger_of, incidents_of, is_quarantined
from ontime.monitoring.prometheus import merged, push
from ontime.monitoring.settings import Monitor, Retraining
from ontime.monitoring.text_file import gauge


@click.command(name="day")
@click.option("--labels", "address", metavar="FILE", help="Labels by key, as `ontime monitor labels` reads them.")
@click.option("--query", help="What the database at that address is asked for labels, in SQL.")
@click.option("--pushgateway", metavar="URL", help="Push all metrics there too.")
@day_options
def command(day: Day, address: str | None, query: str | None, pushgateway: str | None) -> None:
    """Run every check of DAY that can run, as in 2013-07-01; exit status 3 if one raised an alarm."""
    record, metrics = check_day(day, LabelSource(address, query))
    click.echo((day.output / "report.md").read_text(encoding="utf-8"), nl=False)
    if pushgateway:
        push(pushgateway, metrics)
    if any(record.checks.values()):
        click.get_current_context().exit(ALARM)


def check_day(where: Day, labels: LabelSource) -> tuple[DayRecord, str]:
    """Run the checks, write what is kept of the day, and return that and all metrics.

    Raises:
        OntimeError: no check could run.
    """
    monitor, retraining = load_section("monitor", Monitor), load_section("retraining", Retraining)
    before = [one for one in read_days(where.output, where.day) if one.day < where.day]
    checked, skipped = run_checks(where, labels)
    checks = {name: found_of(one.findings) for name, one in checked.items()}
    first = _record(where.day, checks, skipped)
    incidents = incidents_of([*before, first], monitor.sound_days)
    lasting = [one for one in incidents if one.over is None]
    newest = newest_row(where.model)
    reason = challenger_of(where.day, checks, before, bool(lasting), newest, retraining)
    record = first.model_copy(update={"challenger": reason})
    days = [*before, record]
    metrics = merged(
        [
            *((where.output / f"{name}.prom").read_text(encoding="utf-8") for name in checked),
            "\n".join(
                [
                    *gauge("ontime_monitor_incidents_open", "Incidents that last.", [({}, len(lasting))]),
                    *gauge(
                        "ontime_monitor_quarantined_days",
                        "Days whose data are not to be trusted.",
                        [({}, sum(one.quarantined for one in days))],
                    ),
                ]
            ),
        ]
    )
    write_report(where.output, days, [one.summary for one in checked.values()], lasting)
    write_text(where.output / "day.prom", metrics)
    write_day(where.output, record)
    return record, metrics


def run_checks(where: Day, labels: LabelSource) -> tuple[dict[str, Checked], dict[str, str]]:
    """What each check found that could run, and why the others could not."""
    checked: dict[str, Checked] = {}
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            checked[name] = check(where, labels)
        except OntimeError as error:
            skipped[name] = str(error)
    if not checked:
        raise OntimeError("no check could run: " + "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    return checked, skipped


def newest_row(model: Path) -> str | None:
    """Day of the newest row that a model was made from; None of a model without days."""
    return max(read_reference(model / REFERENCE).days) if (model / REFERENCE).is_file() else None


def _record(day: str, checks: dict[str, list[Found]], skipped: dict[str, str]) -> DayRecord:
    try:
        return DayRecord(day=day, checks=checks, skipped=skipped, quarantined=is_quarantined(checks), challenger=None)
    except ValueError as error:
        raise OntimeError(f"{day}: {one_line(error)}") from None
