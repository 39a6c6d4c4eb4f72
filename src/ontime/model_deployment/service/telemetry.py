"""What the service tells of itself: Prometheus metrics, and JSON lines for requests and predictions."""

import asyncio
import os
import sys
import time
from collections import Counter as TallyCounter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ontime.common.arrays import Matrix
from ontime.encoder import MISSING, UNKNOWN
from ontime.model_deployment.inference.champion import Champion, Probability
from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PROBABILITIES = np.linspace(0.05, 1.0, 20)
FLUSH_SECONDS, FLUSH_ROWS = 0.2, 128
COUNT_ROWS = 256


class _Answers(Collector):
    """Answers that are counted some hundred at a time; has no metric of its own."""

    def __init__(self, requests: Counter, seconds: Histogram) -> None:
        self.requests, self.seconds = requests, seconds
        self._waiting: list[tuple[str, int, float]] = []
        self._lock = Lock()

    def add(self, protocol: str, status: int, seconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self._waiting.append((protocol, status, seconds))
            if len(self._waiting) >= COUNT_ROWS:
                self._count()

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        for (protocol, status), number in TallyCounter(answer[:2] for answer in waiting).items():
            self.requests.labels(protocol, str(status)).inc(number)
        for protocol in {answer[0] for answer in waiting}:
            observe = self.seconds.labels(protocol).observe
            for answer in waiting:
                if answer[0] == protocol:
                    observe(answer[2])

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._count()
        yield from ()


class _Predictions(Collector):
    """Counts kept as arrays, for a batch of rows costs them one addition."""

    def __init__(self, model: Champion) -> None:
        self.model = model
        self.buckets = np.zeros(len(PROBABILITIES), dtype=np.int64)
        self.total = 0.0
        self.missing = np.zeros(len(model.encoder.features), dtype=np.int64)
        self.unknown = np.zeros(len(model.encoder.categories), dtype=np.int64)
        self._waiting: list[tuple[Matrix, Probability]] = []
        self._rows = 0
        self._lock = Lock()

    def count(self, matrix: Matrix, probability: Probability) -> None:
        """Count rows, some hundred at a time."""
        with self._lock:
            self._waiting.append((matrix, probability))
            self._rows += len(matrix)
            if self._rows >= COUNT_ROWS:
                self._count()

    def _count(self) -> None:
        if not self._waiting:
            return
        matrix, probability = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        self._waiting, self._rows = [], 0
        places = np.searchsorted(PROBABILITIES, probability.astype(np.float64), side="left")
        self.buckets += np.bincount(np.minimum(places, len(PROBABILITIES) - 1), minlength=len(PROBABILITIES))
        self.total += float(probability.sum(dtype=np.float64))
        missing, unknown = count_unusual(self.model, matrix)
        self.missing += missing
        self.unknown += unknown

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._count()
        counts = np.cumsum(self.buckets)
        histogram = HistogramMetricFamily("ontime_predicted_probability", "Predicted probabilities, by row")
        buckets = [(f"{edge:.2f}", int(n)) for edge, n in zip(PROBABILITIES, counts, strict=True)]
        histogram.add_metric([], [*buckets, ("+Inf", int(counts[-1]))], self.total)
        yield histogram
        yield _by_feature("ontime_missing_features", "Missing values", self.model.encoder.features, self.missing)
        yield _by_feature(
            "ontime_unknown_categories", "Values unknown in training", self.model.encoder.categories, self.unknown
        )


def count_unusual(model: Champion, matrix: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each feature how many values are missing, and for each category how many are unknown."""
    codes = matrix[:, model.numbers :]
    missing = np.concatenate([np.isnan(matrix[:, : model.numbers]).sum(axis=0), (codes == MISSING).sum(axis=0)])
    return missing, (codes == UNKNOWN).sum(axis=0)


def _by_feature(name: str, text: str, features: Iterable[str], counts: Iterable[int]) -> Metric:
    family = CounterMetricFamily(name, f"{text}, by feature", labels=["feature"])
    for feature, count in zip(features, counts, strict=True):
        family.add_metric([feature], int(count))
    return family


class Metrics:
    """The service's metrics in a registry of their own."""

    def __init__(self, model: Champion) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "ontime_requests", "Requests answered, by protocol and status", ["protocol", "code"], registry=None
        )
        seconds = Histogram(
            "ontime_request_duration_seconds",
            "From the request's first byte of body to its answer, by protocol",
            ["protocol"],
            buckets=SECONDS,
            registry=None,
        )
        self.answers = _Answers(requests, seconds)
        # first, for it counts what the other two then tell
        for collector in (self.answers, requests, seconds):
            self.registry.register(collector)
        self.in_flight = Gauge("ontime_rows_in_flight", "Rows that wait or run", registry=self.registry)
        self.predictions = _Predictions(model)
        self.registry.register(self.predictions)
        info = Gauge(
            "ontime_model_info",
            "The model that is served",
            ["model", "version", "sha256", "git_commit"],
            registry=self.registry,
        )
        info.labels(model.name, model.version, model.sha256, model.git_commit).set(1)


class Predicted(NamedTuple):
    """The rows of one request and their probabilities, of which the log makes lines when it is written."""

    time: int
    request_id: str
    rows: Matrix | list[Any]
    probability: Probability


class Log:
    """JSON lines on standard output, encoded and written some at a time; `lines_of` makes a request's predictions."""

    def __init__(self, lines_of: Callable[[Predicted], Iterable[PredictionLine]]) -> None:
        self.lines_of = lines_of
        self._encode = msgspec.json.Encoder().encode_lines
        self._waiting: list[Any] = []
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, event: str, **content: Any) -> None:
        """Write one line at once."""
        self._waiting.append({"time": text_of(time.time_ns()), "event": event, **content})
        self.flush()

    def add(self, line: "Predicted | RequestLine") -> None:
        """Add lines, to be written within a fraction of a second."""
        self._waiting.append(line)
        self._rows += len(line.probability) if isinstance(line, Predicted) else 1
        if self._rows >= FLUSH_ROWS:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting, self._rows, self._timer = self._waiting, [], 0, None
        lines: list[Any] = []
        for line in waiting:
            if isinstance(line, Predicted):
                lines.extend(self.lines_of(line))
                continue
            if isinstance(line, RequestLine):
                line.time = text_of(int(line.time))
            lines.append(line)
        view = memoryview(self._encode(lines))
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]


def text_of(nanoseconds: int) -> str:
    """The time of a line: UTC, milliseconds."""
    return _text_of(nanoseconds // 1_000_000)


@lru_cache(maxsize=1)
def _text_of(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
