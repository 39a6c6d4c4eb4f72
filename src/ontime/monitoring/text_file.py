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


def midnight(day: str) -> float:
    """Beginning of an ISO 8601 day in UTC, in seconds since the epoch."""
    return float(pd.Timestamp(day, tz="UTC").timestamp())
