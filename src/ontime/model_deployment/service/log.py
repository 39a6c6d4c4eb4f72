"""The service's log: JSON lines on standard output, written by a thread of its own.

A request only adds to a bounded queue, which neither blocks nor raises. Lines that find the queue full, or that
standard output does not take, are dropped and counted; a line tells how many once standard output takes lines again.
"""

import contextlib
import logging
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

import msgspec

from ontime.model_deployment.inference.champion import Champion, Outputs
from ontime.model_deployment.inference.prediction_log import LostLine, PredictionLine, RequestLine
from ontime.model_deployment.service.protocol.messages import Keys, Rows
from ontime.model_deployment.service.trace_context import Trace

FLUSH_SECONDS, FLUSH_LINES = 0.2, 128
"""Lines are written together, after this many seconds or lines."""
# a standard output that was closed before the start has a descriptor that may be another file's now
STANDARD_OUTPUT = None if sys.stdout is None else 1
CLOSE_SECONDS = 2
"""How long the end of the service waits for the last lines."""


class RequestPredictions(NamedTuple):
    """What a model says of the rows of one request, which become lines when the log is written.

    The lines leave out the features if `rows` is None.
    """

    time: int
    event: str
    request_id: str
    trace: Trace
    model: Champion
    rows: Rows | None
    predicted: Outputs
    keys: Keys = None


Entry = RequestPredictions | RequestLine | dict[str, Any]


class Log:
    """A queue of at most `max_lines` lines; `lines_of` makes the lines of a request's predictions.

    `descriptor` is the file that lines are written to, None if there is none; `dropped` counts the lines that were not
    written.
    """

    def __init__(
        self,
        lines_of: Callable[[RequestPredictions], Iterable[PredictionLine]],
        max_lines: int,
        descriptor: int | None = STANDARD_OUTPUT,
    ) -> None:
        self.lines_of, self.max_lines, self.descriptor = lines_of, max_lines, descriptor
        self.dropped = self._told = 0
        self._encode = msgspec.json.Encoder().encode_lines
        self._queue: list[Entry] = []
        self._lines = 0
        self._lock, self._wake = Lock(), Event()
        self._closing = False
        self._cut = False
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, but do not wait for a standard output that takes nothing."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)

    def write(self, event: str, **content: Any) -> None:
        """Add one line and have it written without delay."""
        self.add({"time": timestamp(time.time_ns()), "event": event, **content})
        self._wake.set()

    def add(self, entry: Entry) -> None:
        """Add the lines of an entry, to be written within `FLUSH_SECONDS`; they are dropped if the queue is full."""
        lines = _line_count(entry)
        with self._lock:
            if self._lines + lines > self.max_lines:
                self.dropped += lines
                return
            self._queue.append(entry)
            self._lines += lines
        if self._lines >= FLUSH_LINES and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write the queued lines; `start` has a thread do it."""
        with self._lock:
            entries, self._queue = self._queue, []
        lines = sum(map(_line_count, entries))
        try:
            self._tell_lost()
            self._write(self._content(entries))
        finally:
            # until they are written, so that lines that standard output does not take fill the queue
            with self._lock:
                self._lines -= lines

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            closing = self._closing
            with contextlib.suppress(Exception):  # the thread must outlive whatever an entry holds
                self.flush()

    def _tell_lost(self) -> None:
        lost = self.dropped - self._told
        if lost and not self._unwritten(self._encode([LostLine(timestamp(time.time_ns()), lost)])):
            self._told += lost

    def _content(self, entries: list[Entry]) -> bytes:
        try:
            return self._encode([line for entry in entries for line in self._lines_of(entry)])
        except Exception:  # one entry may be the cause
            if len(entries) == 1:
                self._drop(_line_count(entries[0]))
                return b""
            return b"".join(self._content([entry]) for entry in entries)

    def _lines_of(self, entry: Entry) -> Iterable[Any]:
        if isinstance(entry, RequestPredictions):
            return self.lines_of(entry)
        if isinstance(entry, RequestLine) and isinstance(entry.time, int):
            entry.time = timestamp(entry.time)
        return (entry,)

    def _write(self, content: bytes) -> None:
        left = self._unwritten(content)
        if left:
            self._drop(min(content.count(b"\n"), left.count(b"\n")))

    def _unwritten(self, content: bytes) -> bytes:
        """Write, and return what standard output did not take."""
        if self.descriptor is None:
            return content
        # a line that was cut must not run into the next one
        view = memoryview(b"\n" + content if self._cut and content else content)
        while view:
            try:
                written = os.write(self.descriptor, view)
            except BlockingIOError:
                select.select([], [self.descriptor], [])
            except OSError:
                return bytes(view)
            else:
                self._cut = view[written - 1] != ord("\n")
                view = view[written:]
        return b""

    def _drop(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines


class LogHandler(logging.Handler):
    """Passes the records of Python's `logging`, such as the server's own, to the log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self.log = log
        self.addFilter(OnceAMinute())

    def emit(self, record: logging.LogRecord) -> None:
        """Add one line, with the traceback if there is one."""
        with contextlib.suppress(Exception):  # whoever logs must go on
            traceback = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            content = {"traceback": traceback} if traceback else {}
            self.log.write(record.levelname.lower(), logger=record.name, message=record.getMessage(), **content)


class OnceAMinute(logging.Filter):
    """Passes each message of `SELDOM` once a minute: it comes again with every attempt while its cause lasts."""

    SELDOM = ("opentelemetry.", *(f"ontime.model_deployment.service.{name}" for name in ("shadow", "tracing")))
    SECONDS = 60

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is passed."""
        if not record.name.startswith(self.SELDOM):
            return True
        now, place = time.monotonic(), (record.pathname, record.lineno)
        if now - self._last.get(place, -math.inf) < self.SECONDS:
            return False
        self._last[place] = now
        return True


def _line_count(entry: Entry) -> int:
    return len(entry.predicted) if isinstance(entry, RequestPredictions) else 1


def timestamp(nanoseconds: int) -> str:
    """The time of a line: UTC, ISO 8601, to the millisecond."""
    return _timestamp(nanoseconds // 1_000_000)


@lru_cache(maxsize=1)
def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
