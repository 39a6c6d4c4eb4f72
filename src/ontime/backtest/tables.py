"""The figures of `ontime backtest` as Markdown."""

from collections.abc import Mapping
from typing import Any

from ontime.backtest.policies import CONFIDENCE, Policy

PERIODS = {"decides": "days that decide", "shows": "days that decide nothing"}


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
    best = Policy(**{("name" if key == "policy" else key): value for key, value in found["best"].items()})
    return "\n".join([*lines, f"Least log loss on the days that decide: {best.title}."])


def table(rows: list[Mapping[str, Any]]) -> list[str]:
    """Lines of one table; the interval is of the difference of log loss against the first policy, by days."""
    lines = [
        f"| policy | fits | ROC AUC | log loss | cost per 1,000 | log loss against never [{CONFIDENCE:.0%}] |",
        "|---|---|---|---|---|---|",
    ]
    for place, row in enumerate(rows):
        against = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" if place else ""
        numbers = f"{row['roc_auc']:.4f} | {row['log_loss']:.4f} | {row['cost_per_1000']:.1f}"
        lines.append(f"| {row['policy']} | {row['fits']} | {numbers} | {against} |")
    return lines
