"""What the service logs, as types: a JSON line for each request and each predicted row.

Whoever reads the log reads it by these.
"""

from typing import Any

import msgspec


class RequestLine(msgspec.Struct, gc=False):
    """What the log says of one request; `time` is in nanoseconds until it is written."""

    time: int | str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    milliseconds: float


class PredictionLine(msgspec.Struct, gc=False):
    """What the log says of one row; a missing number in `features` is NaN, which JSON writes as null."""

    time: str
    event: str
    request_id: str
    model: str
    model_version: str
    probability: float
    decision: bool
    features: Any
