"""The lines of the service's log as types: one for each request, one for each predicted row.

The service writes the log by these types, and whatever reads it decodes its lines by them.
"""

from typing import Any

import msgspec


class RequestLine(msgspec.Struct, gc=False):
    """One request; `time` is in nanoseconds until the line is written."""

    time: int | str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    milliseconds: float


class PredictionLine(msgspec.Struct, gc=False):
    """One predicted row; a missing number in `features` is NaN, which JSON writes as null."""

    time: str
    event: str
    request_id: str
    model: str
    model_version: str
    probability: float
    decision: bool
    features: Any
