"""What follows from the days that were checked: incidents, and whether a challenger is trained, on which rows.

An alarm of the inputs or of an exact check says that data are wrong, so it opens an incident and never trains a model.
A model that has aged, or labels that no longer fit it while the data are right, ask for a challenger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from ontime.data_processing.split import Split
from ontime.monitoring.day_files import LABELS, QUARANTINING, DayRecord, Found, Reason
from ontime.monitoring.settings import Retraining


@dataclass
class Incident:
    """One cause of one check: the days that had it, and the day on which it was over, None while it lasts."""

    check: str
    cause: str
    days: list[tuple[str, Found]] = field(default_factory=list)
    over: str | None = None
    sound: int = 0
    """Days in a row on which the check ran and did not find it."""


def incidents_of(days: Iterable[DayRecord], sound_days: int) -> list[Incident]:
    """The incidents of days, oldest first, in the order in which they began.

    A day on which a check did not run says nothing of its incidents.
    """
    found: list[Incident] = []
    lasting: dict[tuple[str, str], Incident] = {}
    for day in days:
        for check in QUARANTINING:
            if check not in day.checks:
                continue
            causes = {one.cause: one for one in day.checks[check]}
            for cause, one in causes.items():
                if (check, cause) not in lasting:
                    lasting[check, cause] = Incident(check, cause)
                    found.append(lasting[check, cause])
                lasting[check, cause].days.append((day.day, one))
                lasting[check, cause].sound = 0
            for key, incident in [*lasting.items()]:
                if key[0] == check and key[1] not in causes:
                    incident.sound += 1
                    if incident.sound >= sound_days:
                        incident.over = day.day
                        del lasting[key]
    return found


def is_quarantined(checks: Mapping[str, Sequence[Found]]) -> bool:
    """Whether the day's data are not to be trusted."""
    return any(checks.get(check) for check in QUARANTINING)


def challenger_of(
    day: str,
    checks: Mapping[str, Sequence[Found]],
    before: Sequence[DayRecord],
    incident_open: bool,
    newest_row: str | None,
    retraining: Retraining,
) -> Reason | None:
    """Why a challenger is trained after a day, None if there is no reason.

    Args:
        checks: the alarms of the checks that ran on the day.
        before: the days checked before it.
        incident_open: whether an incident lasts on the day.
        newest_row: day of the newest row that the served model was made from, None if that is not known.
    """
    if is_quarantined(checks) or "inputs" not in checks:
        return None
    asked = [one.day for one in before if one.challenger is not None]
    if asked and _days_between(max(asked), day) < retraining.pause_days:
        return None
    if checks.get(LABELS) and not incident_open:
        return "labels"
    if newest_row is not None and _days_between(newest_row, day) >= retraining.every_days:
        return "schedule"
    return None


def settings_of(days: Sequence[DayRecord], split: Split, retraining: Retraining) -> dict[str, object]:
    """Parameters of the challenger that the last day asks for, by dotted name; none if it asks for none.

    Rows after that day are left out, since their labels may still change, and so are those of the quarantined days.
    """
    if not days or days[-1].challenger is None:
        return {}
    end = date.fromisoformat(days[-1].day) + timedelta(days=1)
    quarantined = {one.day for one in days if one.quarantined}
    test = end - timedelta(days=retraining.test_days)
    validation = test - timedelta(days=retraining.validation_days)
    boundaries: dict[str, object] = (
        {"split.validation_from": _midnight(validation), "split.test_from": _midnight(test)}
        if split.by == "time"
        else {}
    )
    excluded = sorted({*split.excluded_days, *quarantined})
    return {**boundaries, "split.until": _midnight(end), "split.excluded_days": excluded}


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _days_between(first: str, second: str) -> int:
    return (date.fromisoformat(second) - date.fromisoformat(first)).days
