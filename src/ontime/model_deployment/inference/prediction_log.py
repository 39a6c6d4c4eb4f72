"""The lines of the service's log as types: one for each request, one for each row that a model has predicted.

The service writes the log by these types, and whatever reads it decodes its lines by them. `trace_id` and `span_id`
are those of W3C Trace Context, left out where a request belongs to no trace.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

LINES_LOST = "lines_lost"
"""The event of a line that says how many lines before it were dropped."""


class LostLine(msgspec.Struct, gc=False):
    """So many lines were dropped since the last line of this kind; `event` is `LINES_LOST`."""

    time: str
    lines: int
    event: str = LINES_LOST


class RequestLine(msgspec.Struct, gc=False):
    """One request; `time` is in nanoseconds until the line is written."""

    time: int | str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    milliseconds: float
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET


class PredictionLine(msgspec.Struct, gc=False):
    """One predicted row, by its place in the request from 0 on; a missing number in `features` is NaN, in JSON null.

    `event` is `prediction`, or `shadow` for a model beside the one that answers, whose lines leave out the features.
    `key` names what the row is about, if the caller sent one. A model of an event has `probability` and `decision`, one
    of classes the probability of each and the decided class, one of a number `prediction`.
    """

    time: str
    event: str
    request_id: str
    row: int
    model: str
    model_version: str
    probability: float | list[float] | UnsetType = UNSET
    decision: bool | str | UnsetType = UNSET
    features: Any = UNSET
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    prediction: float | UnsetType = UNSET
