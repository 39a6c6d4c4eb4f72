"""Prometheus metrics of the service."""

from collections import Counter as TallyCounter
from collections.abc import Callable, Iterable, Iterator
from threading import Lock

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ontime.common.arrays import Matrix
from ontime.encoder import MISSING, UNKNOWN
from ontime.model_deployment.inference.champion import Champion, Outputs
from ontime.tasks.answers import one_number

PROTOCOLS = ("v1", "v2")
STATUSES = (200, 400, 404, 408, 413, 415, 429, 500)
"""What an inference request may be answered with; each is counted from zero, so that its first increase is seen."""
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
COUNT_ROWS = 256
"""How many responses, or rows, are counted together, because counting them one by one is slow."""


class _Responses(Collector):
    """Counts responses in batches; it has no metric of its own."""

    def __init__(self, requests: Counter, seconds: Histogram) -> None:
        self.requests, self.seconds = requests, seconds
        self._waiting: list[tuple[str, int, float]] = []
        self._lock = Lock()

    def add(self, protocol: str, status: int, seconds: float) -> None:
        """Count one response."""
        with self._lock:
            self._waiting.append((protocol, status, seconds))
            if len(self._waiting) >= COUNT_ROWS:
                self._count()

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        for (protocol, status), number in TallyCounter(response[:2] for response in waiting).items():
            self.requests.labels(protocol, str(status)).inc(number)
        for protocol in {response[0] for response in waiting}:
            observe = self.seconds.labels(protocol).observe
            for response in waiting:
                if response[0] == protocol:
                    observe(response[2])

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._count()
        yield from ()


class _Counted(Collector):
    """What another part of the service counts."""

    def __init__(self, name: str, help_text: str, count: Callable[[], int]) -> None:
        self.name, self.help_text, self.count = name, help_text, count

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self.name, self.help_text, self.count())


class _Predictions(Collector):
    """Counts by what the model said and by feature, kept as arrays so that a batch costs one addition."""

    def __init__(self, model: Champion) -> None:
        self.model = model
        self.edges = model.answer.edges(model.golden)
        # the last one for what is above all of them
        self.buckets = np.zeros(len(self.edges) + 1, dtype=np.int64)
        self.total = 0.0
        self.decided = np.zeros(len(model.answer.classes), dtype=np.int64)
        self.missing = np.zeros(len(model.encoder.features), dtype=np.int64)
        self.unknown = np.zeros(len(model.encoder.categories), dtype=np.int64)
        self._waiting: list[tuple[Matrix, Outputs]] = []
        self._rows = 0
        self._lock = Lock()

    def count(self, matrix: Matrix, outputs: Outputs) -> None:
        """Count the rows (rows, features) of a batch and what the model said of them."""
        with self._lock:
            self._waiting.append((matrix, outputs))
            self._rows += len(matrix)
            if self._rows >= COUNT_ROWS:
                self._count()

    def _count(self) -> None:
        if not self._waiting:
            return
        matrix, outputs = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        self._waiting, self._rows = [], 0
        if outputs.ndim > 1:
            self.decided += np.bincount(outputs.argmax(axis=1), minlength=len(self.decided))
            outputs = one_number(outputs)
        bucket = np.searchsorted(self.edges, outputs.astype(np.float64), side="left")
        self.buckets += np.bincount(bucket, minlength=len(self.buckets))
        self.total += float(outputs.sum(dtype=np.float64))
        missing, unknown = count_unusual(self.model, matrix)
        self.missing += missing
        self.unknown += unknown

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            self._count()
        counts = np.cumsum(self.buckets)
        answer = self.model.answer
        histogram = HistogramMetricFamily(answer.metric, f"{answer.title}, by row")
        buckets = [(answer.bound(edge), int(n)) for edge, n in zip(self.edges, counts[:-1], strict=True)]
        histogram.add_metric([], [*buckets, ("+Inf", int(counts[-1]))], self.total)
        yield histogram
        if answer.classes:
            yield _by_label("ontime_decided_classes", "Rows decided for", "class", answer.classes, self.decided)
        yield _by_feature("ontime_missing_features", "Missing values", self.model.encoder.features, self.missing)
        yield _by_feature(
            "ontime_unknown_categories", "Values unknown in training", self.model.encoder.categories, self.unknown
        )


def count_unusual(model: Champion, matrix: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number of missing values of each feature, and of unknown values of each category."""
    coded = model.encoder.coded
    codes = matrix[:, coded]
    missing = np.isnan(matrix[:, : len(model.encoder.features)]).sum(axis=0)
    missing[coded] = (codes == MISSING).sum(axis=0)
    return missing, (codes == UNKNOWN).sum(axis=0)


def _by_feature(name: str, help_text: str, features: Iterable[str], counts: Iterable[int]) -> Metric:
    return _by_label(name, help_text, "feature", features, counts)


def _by_label(name: str, help_text: str, label: str, values: Iterable[str], counts: Iterable[int]) -> Metric:
    family = CounterMetricFamily(name, f"{help_text}, by {label}", labels=[label])
    for value, count in zip(values, counts, strict=True):
        family.add_metric([value], int(count))
    return family


class Metrics:
    """The service's metrics in a registry of their own; `dropped` tells how many lines the log has dropped."""

    def __init__(self, model: Champion, dropped: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "ontime_requests", "Requests answered, by protocol and status", ["protocol", "code"], registry=None
        )
        seconds = Histogram(
            "ontime_request_duration_seconds",
            "Time from the first byte of the request body to the response, by protocol",
            ["protocol"],
            buckets=SECONDS,
            registry=None,
        )
        for protocol in PROTOCOLS:
            seconds.labels(protocol)
            for status in STATUSES:
                requests.labels(protocol, str(status))
        self.responses = _Responses(requests, seconds)
        # first, because it updates the other two
        for collector in (self.responses, requests, seconds):
            self.registry.register(collector)
        self.in_flight = Gauge("ontime_rows_in_flight", "Rows queued or being computed", registry=self.registry)
        self.count(
            "ontime_log_lines_dropped",
            "Lines that were not written: the log's queue was full, or standard output failed",
            dropped,
        )
        self.predictions = _Predictions(model)
        self.registry.register(self.predictions)
        info = Gauge(
            "ontime_model_info",
            "The model that is served",
            ["model", "version", "sha256", "git_commit"],
            registry=self.registry,
        )
        info.labels(model.name, model.version, model.sha256, model.git_commit).set(1)

    def count(self, name: str, help_text: str, count: Callable[[], int]) -> None:
        """Expose what another part of the service counts."""
        self.registry.register(_Counted(name, help_text, count))
