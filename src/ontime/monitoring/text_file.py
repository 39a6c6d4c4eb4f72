"""Metrics in Prometheus' text format, for the text file collector of its node exporter."""

import json
from collections.abc import Iterable, Mapping

import pandas as pd

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""


def gauge(name: str, description: str, samples: Iterable[Sample]) -> list[str]:
    """The lines of one gauge."""
    lines = [f"# HELP {name} {description}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        named = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels.items())
        lines.append(f"{name}{{{named}}} {value!r}" if named else f"{name} {value!r}")
    return lines


def check_gauges(check: str, day: str, alarms: int) -> list[str]:
    """The lines that every check has: which day it looked at, and how many causes of an alarm it found."""
    return [
        *gauge(
            "ontime_monitor_day_timestamp_seconds",
            "Beginning of the day that was looked at.",
            [({"check": check}, midnight(day))],
        ),
        *gauge("ontime_monitor_alarms", "Causes of an alarm on the day.", [({"check": check}, alarms)]),
    ]


def midnight(day: str) -> float:
    """Beginning of an ISO 8601 day in UTC, in seconds since the epoch."""
    return float(pd.Timestamp(day, tz="UTC").timestamp())
