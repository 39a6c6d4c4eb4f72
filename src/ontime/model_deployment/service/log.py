"""The service's log: JSON lines on standard output for requests and predictions."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ontime.model_deployment.inference.champion import Probability
from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine
from ontime.model_deployment.service.protocol.messages import Rows

FLUSH_SECONDS, FLUSH_ROWS = 0.2, 128
"""Lines are written together, after this many seconds or lines."""


class RequestPredictions(NamedTuple):
    """The rows of one request and their probabilities, which become lines when the log is written."""

    time: int
    request_id: str
    rows: Rows
    probability: Probability


class Log:
    """Writes lines in batches; `lines_of` makes the lines of a request's predictions."""

    def __init__(self, lines_of: Callable[[RequestPredictions], Iterable[PredictionLine]]) -> None:
        self.lines_of = lines_of
        self._encode = msgspec.json.Encoder().encode_lines
        self._waiting: list[Any] = []
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, event: str, **content: Any) -> None:
        """Write one line at once."""
        self._waiting.append({"time": timestamp(time.time_ns()), "event": event, **content})
        self.flush()

    def add(self, line: RequestPredictions | RequestLine) -> None:
        """Add lines, to be written within `FLUSH_SECONDS`."""
        self._waiting.append(line)
        self._rows += len(line.probability) if isinstance(line, RequestPredictions) else 1
        if self._rows >= FLUSH_ROWS:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the buffered lines."""
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting, self._rows, self._timer = self._waiting, [], 0, None
        lines: list[Any] = []
        for line in waiting:
            if isinstance(line, RequestPredictions):
                lines.extend(self.lines_of(line))
                continue
            if isinstance(line, RequestLine):
                line.time = timestamp(int(line.time))
            lines.append(line)
        view = memoryview(self._encode(lines))
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]


def timestamp(nanoseconds: int) -> str:
    """The time of a line: UTC, ISO 8601, to the millisecond."""
    return _timestamp(nanoseconds // 1_000_000)


@lru_cache(maxsize=1)
def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
