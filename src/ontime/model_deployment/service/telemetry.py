"""What the service tells of itself: Prometheus metrics, and JSON lines for requests and predictions."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ontime.model_deployment.service.model import Matrix, Model, count_unusual

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PROBABILITIES = np.linspace(0.05, 1.0, 20)
FLUSH_BYTES = 1 << 16
COUNT_ROWS = 256


class _Predictions(Collector):
    """Counts kept as arrays, for a batch of rows costs them one addition."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.buckets = np.zeros(len(PROBABILITIES), dtype=np.int64)
        self.total = 0.0
        self.missing = np.zeros(len(model.encoder.features), dtype=np.int64)
        self.unknown = np.zeros(len(model.encoder.categories), dtype=np.int64)
        self._waiting: list[tuple[Matrix, npt.NDArray[np.float32]]] = []
        self._rows = 0
        self._lock = Lock()

    def count(self, matrix: Matrix, probability: npt.NDArray[np.float32]) -> None:
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


def _by_feature(name: str, text: str, features: Iterable[str], counts: Iterable[int]) -> Metric:
    family = CounterMetricFamily(name, f"{text}, by feature", labels=["feature"])
    for feature, count in zip(features, counts, strict=True):
        family.add_metric([feature], int(count))
    return family


class Metrics:
    """The service's metrics in a registry of their own."""

    def __init__(self, model: Model) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "ontime_requests", "Requests answered, by protocol and status", ["protocol", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "ontime_request_duration_seconds",
            "From the request's first byte of body to its answer, by protocol",
            ["protocol"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("ontime_rows_in_flight", "Rows that wait or run", registry=self.registry)
        self.predictions = _Predictions(model)
        self.registry.register(self.predictions)
        info = Gauge(
            "ontime_model_info",
            "The model that is served",
            ["model", "version", "sha256", "git_commit"],
            registry=self.registry,
        )
        info.labels(model.name, model.version, model.digest, model.git_commit).set(1)
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        """Count one answer."""
        children = self._children.get((protocol, status))
        if children is None:
            children = self.requests.labels(protocol, str(status)), self.seconds.labels(protocol)
            self._children[protocol, status] = children
        children[0].inc()
        children[1].observe(seconds)


class RequestLine(msgspec.Struct, gc=False):
    """What the log says of one request."""

    time: str
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


class Log:
    """JSON lines on standard output, written some at a time."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_into
        self._buffer = bytearray()

    def write(self, event: str, **content: Any) -> None:
        """Add one line."""
        self.add({"time": now(), "event": event, **content})

    def add(self, line: Any) -> None:
        """Add one line that is a mapping or a struct already."""
        self._encode(line, self._buffer, -1)
        self._buffer += b"\n"
        if len(self._buffer) > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]


def now() -> str:
    """The time of a line: UTC, milliseconds."""
    return _text_of(time.time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _text_of(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
