"""The figures of `ontime backtest` as Markdown."""

from collections.abc import Mapping
from typing import Any

from ontime.backtest.policies import CONFIDENCE, Policy
from ontime.model_evaluation.titles import TITLES

PERIODS = {"decides": "days that decide", "shows": "days that decide nothing"}
LOSSES = ("log_loss", "rmse")
"""Of the tasks; a table has one of them."""
OF_UNIT = ("rmse", "mae")
"""Metrics in the target's unit."""


def markdown(found: Mapping[str, Any]) -> str:
    """Tables for each start, and the best policy."""
    lines = []
    for one in found["replays"]:
        for period in one["periods"]:
            lines += [
                f"Served from {one['start']} on, {period['first']} to {period['last']} ({PERIODS[period['name']]}):",
                "",
                *table(period["rows"]),
                "",
            ]
            loss = TITLES[_loss(period["rows"][0])]
    best = Policy(**{("name" if key == "policy" else key): value for key, value in found["best"].items()})
    return "\n".join([*lines, f"Least {loss} on the days that decide: {best.title}."])


def table(rows: list[Mapping[str, Any]]) -> list[str]:
    """Lines of one table; the interval is of the difference of the loss against the first policy, by days."""
    loss = _loss(rows[0])
    metrics = [name for name in rows[0] if name not in ("policy", "fits", "difference", "low", "high")]
    titles = [TITLES.get(name, name) for name in metrics]
    head = ["policy", "fits", *titles, f"{TITLES[loss]} against never [{CONFIDENCE:.0%}]"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    sign = "+.6g" if loss in OF_UNIT else "+.4f"
    for place, row in enumerate(rows):
        low, high = row["low"], row["high"]
        against = f"{row['difference']:{sign}} [{low:{sign}}, {high:{sign}}]" if place else ""
        numbers = [_number(name, row[name]) for name in metrics]
        lines.append(f"| {' | '.join([row['policy'], str(row['fits']), *numbers, against])} |")
    return lines


def _loss(row: Mapping[str, Any]) -> str:
    return next(name for name in LOSSES if name in row)


def _number(name: str, value: float | None) -> str:
    """A metric with as many digits as a person uses; nothing where there is none."""
    if value is None:
        return ""
    if name == "cost_per_1000":
        return f"{value:.1f}"
    return f"{value:.6g}" if name in OF_UNIT else f"{value:.4f}"
