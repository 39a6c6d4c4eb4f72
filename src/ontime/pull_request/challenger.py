"""What a report says of a challenger: its losses beside the champion's by days, segments, cost, rows left out, policy.

In: rows that neither was fitted on, and `params.yaml` of both revisions. Out: sections in Markdown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from ontime.model_evaluation.settings import Decision
from ontime.model_evaluation.titles import TITLES
from ontime.pull_request.gate import Comparison, Gate
from ontime.pull_request.unseen import Unseen, shown

MOST_SEGMENTS, MOST_DAYS, MOST_CHARACTERS = 12, 40, 10_000


def sections(
    unseen: Unseen,
    columns: list[str],
    decision: Decision,
    gate: Gate,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> list[str]:
    """The sections, as paragraphs.

    Args:
        columns: whose values are segments.
        before, after: the section `split` of both revisions.
    """
    first, last = unseen.days[0], unseen.days[-1]
    loss = unseen.compared[0]
    segments = unseen.slices(columns, shown(gate, unseen.compared), loss)
    segments.sort(key=lambda one: -abs(one.worsening))
    parts = [
        "### Challenger against champion, by days",
        f"{len(unseen.rows):,} rows of {len(unseen.days)} days from {first} to {last}, on which neither was fitted; "
        "intervals of 95 %, whole days resampled." + _costs(unseen.compared, decision),
        _table("metric", unseen.differences(decision, gate)),
    ]
    if segments:
        name = TITLES[loss]
        parts += [
            f"#### {name[0].upper()}{name[1:]} by segment, the largest change first",
            _table("segment", segments[:MOST_SEGMENTS]),
        ]
    return [*parts, *left_out(before, after)]


def _costs(metrics: Sequence[str], decision: Decision) -> str:
    """What a cost is, where one is shown."""
    if "cost_per_1000" not in metrics:
        return ""
    return (
        f" A cost is in the unit of `decision`: a false alarm {decision.false_alarm_cost:g}, a missed event "
        f"{decision.missed_event_cost:g}."
    )


def left_out(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The watermark, and the days that the challenger was trained without."""
    parts = []
    if after.get("until") is not None:
        parts.append(f"Rows from {after['until']} on are left out, since their labels may still change.")
    days = sorted(after.get("excluded_days") or [])
    known = {*(before.get("excluded_days") or [])}
    if days:
        listed = [f"{day}{'' if day in known else ' (new)'}" for day in days[-MOST_DAYS:]]
        more = f", and {len(days) - MOST_DAYS} before" if len(days) > MOST_DAYS else ""
        parts.append(f"Quarantined days that are left out: {', '.join(listed)}{more}.")
    return ["#### Rows left out", *parts] if parts else []


def policy(path: Path | None) -> list[str]:
    """What `ontime backtest` printed of the policy, from a file; nothing without one."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OntimeError(f"--backtest {path}: not readable: {type(error).__name__}") from None
    return ["### What the backtest says of the policy", text[:MOST_CHARACTERS].strip()]


def not_compared(reason: str) -> list[str]:
    """A line that says why there is no comparison by days."""
    return [f"The champions are not compared by days: {reason}."]


def _table(title: str, rows: list[Comparison]) -> str:
    lines = [f"| {title} | champion | challenger | change | 95 % interval |", "|---|---:|---:|---:|---:|"]
    for one in rows:
        # of a worsening; a change upwards is one for the better where more is better
        low, high = sorted((one.low, one.high) if one.head - one.base == one.worsening else (-one.low, -one.high))
        name = TITLES.get(one.name, one.name).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
        lines.append(
            f"| {name} | {one.base:.4f} | {one.head:.4f} | {one.head - one.base:+.4f} | {low:+.4f} to {high:+.4f} |"
        )
    return "\n".join(lines)
