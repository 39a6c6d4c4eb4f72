"""The trace that a request belongs to, by the header `traceparent` of W3C Trace Context.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET, UnsetType
from starlette.types import Scope

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
FORMAT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace_id>[0-9a-f]{32})-(?!0{16})(?P<span_id>[0-9a-f]{16})"
    rb"-[0-9a-f]{2}(?P<more>-.*)?"
)
OWN_SPAN = "ontime.span"
"""Key of an ASGI scope: the `Trace` of the service's own span, where it makes one."""
ROWS = "ontime.rows"
"""Key of an ASGI scope: the number of rows that were predicted."""


class Trace(NamedTuple):
    """A trace and a span of it, as lower-case hexadecimal digits; neither where a request belongs to no trace."""

    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET


NO_TRACE = Trace()


def trace_of(scope: Scope) -> Trace:
    """What the log says of a request's trace: the service's own span, or else the caller's."""
    own: Trace | None = scope.get(OWN_SPAN)
    return own or caller_of(scope["headers"]) or NO_TRACE


def caller_of(headers: Sequence[tuple[bytes, bytes]]) -> Trace | None:
    """The caller's span; None where the header is missing, is there twice, or is not what the recommendation says."""
    given = [value for name, value in headers if name == TRACEPARENT]
    match = FORMAT.fullmatch(given[0].strip(b" \t")) if len(given) == 1 else None
    # only a later version of the header may have more than the four fields
    if match is None or (match["version"] == b"00" and match["more"] is not None):
        return None
    return Trace(match["trace_id"].decode(), match["span_id"].decode())
