"""A second model beside the first: it answers the same rows, and its answers are logged and never sent.

Rows wait in a bounded queue after their answer was sent. A thread of its own runs the rows of several requests
together. Whatever happens here costs the first model's answers nothing but time.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from threading import Event, Lock, Thread
from typing import Any

import msgspec
import numpy as np

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.encoder import MISSING, UNKNOWN
from ontime.model_deployment.inference.champion import Champion, Outputs
from ontime.model_deployment.service.log import Log, RequestPredictions
from ontime.model_deployment.service.metrics import Metrics
from ontime.model_deployment.service.protocol.messages import ClientError, Rows
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.settings import PREFIX

LOGGER = logging.getLogger(__name__)
EVENT = "shadow"
BATCH_SECONDS, BATCH_ROWS = 0.1, 256
"""Rows run together, after this many seconds or once there are so many."""
CLOSE_SECONDS = 1
"""How long the end of the service waits for the last rows."""


class Shadow:
    """A model that answers rows which `champion` has read, from a queue of at most `max_queued_rows`.

    `rows` counts the rows that were predicted, `skipped` those that found the queue full, `failed` those that the model
    did not predict.

    Raises:
        OntimeError: the two models have other features.
    """

    def __init__(self, model: Champion, champion: RecordEncoding, log: Log, max_queued_rows: int) -> None:
        check_features(model, champion.model)
        self.model, self.log, self.max_queued_rows = model, log, max_queued_rows
        self.rows = self.skipped = self.failed = 0
        self._records = RecordEncoding(model, champion.max_rows)
        # the matrix of one model in terms of the other's: which column, and for each category which code
        self._columns = [champion.column_index[name] for name in model.encoder.features]
        self._in_order = self._columns == sorted(self._columns)
        self._codes = [
            np.array([UNKNOWN, MISSING, *(codes.get(value, UNKNOWN) for value in champion.encoder.categories[name])])
            for name, codes in zip(model.encoder.categories, model.encoder.codes, strict=True)
        ]
        self._queue: list[RequestPredictions] = []
        self._queued_rows = 0
        self._lock, self._wake = Lock(), Event()
        self._closing = False
        self._thread = Thread(target=self._run, name="shadow", daemon=True)

    def expose(self, metrics: Metrics) -> None:
        """Show the counts in the service's metrics."""
        metrics.count("ontime_shadow_rows", "Rows that the shadow predicted", lambda: self.rows)
        metrics.count("ontime_shadow_rows_skipped", "Rows that found the shadow's queue full", lambda: self.skipped)
        metrics.count("ontime_shadow_rows_failed", "Rows that the shadow did not predict", lambda: self.failed)

    def start(self) -> None:
        """Start the thread that predicts."""
        self._thread.start()

    def close(self) -> None:
        """Predict what waits, but not for long."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)

    def add(self, request: RequestPredictions) -> None:
        """Have the rows of an answered request predicted; they are skipped if the queue is full."""
        rows = len(request.predicted)
        with self._lock:
            if self._queued_rows + rows > self.max_queued_rows:
                self.skipped += rows
                return
            self._queue.append(request)
            self._queued_rows += rows
        if self._queued_rows >= BATCH_ROWS and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Predict the queued rows; `start` has a thread do it."""
        with self._lock:
            queue, self._queue = self._queue, []
        for batch in batches(queue):
            with contextlib.suppress(Exception):  # the next batch must run whatever a request holds
                self._predict_together(batch)
            # not until they are predicted, so that rows which the model is too slow for fill the queue
            with self._lock:
                self._queued_rows -= sum(len(request.predicted) for request in batch)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(BATCH_SECONDS)
            self._wake.clear()
            closing = self._closing
            self.flush()

    def _predict_together(self, batch: Sequence[RequestPredictions]) -> None:
        try:
            predicted = self._predict(batch)
        except Exception as error:
            if len(batch) > 1:
                # one request's rows may be the cause
                for request in batch:
                    self._predict_together([request])
                return
            self.failed += len(batch[0].predicted)
            LOGGER.warning("no prediction: %s", error, exc_info=None if isinstance(error, ClientError) else error)
            return
        start, model = 0, self.model
        for request in batch:
            end = start + len(request.predicted)
            self.log.add(
                RequestPredictions(
                    request.time,
                    EVENT,
                    request.request_id,
                    request.trace,
                    model,
                    None,
                    predicted[start:end],
                    request.keys,
                )
            )
            start = end
        self.rows += start

    def _predict(self, batch: Sequence[RequestPredictions]) -> Outputs:
        matrix = self._matrix([request.rows for request in batch if request.rows is not None])
        self._records.check(matrix)
        return self.model.predict(matrix)

    def _matrix(self, batch: Sequence[Rows]) -> Matrix:
        """The rows of requests of one form, which the other model has read, as this model's matrix (rows, features)."""
        if not isinstance(batch[0], list):
            return self._translated(np.concatenate(batch))
        values: list[Sequence[Any]] = [msgspec.structs.astuple(record) for records in batch for record in records]
        if not self._in_order:
            values = [[record[column] for column in self._columns] for record in values]
        with np.errstate(over="ignore"):
            return self.model.encoder.transform_records(values)

    def _translated(self, matrix: Matrix) -> Matrix:
        """A matrix of the other model, with the column and the code that this one has for each value."""
        own = matrix[:, self._columns]
        for column, codes in enumerate(self._codes, start=self.model.numbers):
            own[:, column] = codes[own[:, column].astype(np.intp)]
        return own


def check_features(model: Champion, champion: Champion) -> None:
    """Refuse a model that does not have the same features.

    Raises:
        OntimeError: they answer another question, or one lacks a feature or has it as a number and the other as a
            category; names the feature.
    """
    if model.manifest.task != champion.manifest.task:
        raise OntimeError(f"{PREFIX}SHADOW: a {model.manifest.task} model beside a {champion.manifest.task} one")
    if model.manifest.classes != champion.manifest.classes:
        raise OntimeError(f"{PREFIX}SHADOW: a model of other classes than the model that answers")
    own, expected = ({feature.name: feature.type for feature in one.manifest.features} for one in (model, champion))
    for name in [*expected, *own]:
        if own.get(name) != expected.get(name):
            found, wanted = (f"is a {types[name]}" if name in types else "is missing" for types in (own, expected))
            raise OntimeError(
                f"{PREFIX}SHADOW: {name} {found}, in the model that answers it {wanted}; both need the same features"
            )


def batches(queue: Sequence[RequestPredictions]) -> Iterator[list[RequestPredictions]]:
    """Requests of one form, records or encoded rows, with at most `BATCH_ROWS` rows unless one has more."""
    for is_records in (True, False):
        batch: list[RequestPredictions] = []
        rows = 0
        for request in queue:
            if isinstance(request.rows, list) != is_records:
                continue
            if batch and rows + len(request.predicted) > BATCH_ROWS:
                yield batch
                batch, rows = [], 0
            batch.append(request)
            rows += len(request.predicted)
        if batch:
            yield batch
