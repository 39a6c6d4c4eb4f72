"""The state of the service: the loaded model, both protocols, the batcher, the metrics, the log and the shadow."""

import copy
import itertools
import logging
import os
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion, Outputs
from ontime.model_deployment.inference.explanation import Explainer
from ontime.model_deployment.inference.prediction_log import PredictionLine
from ontime.model_deployment.service.batching import Batcher
from ontime.model_deployment.service.explaining import ExplanationQueue
from ontime.model_deployment.service.log import Log, RequestPredictions, timestamp
from ontime.model_deployment.service.metrics import Metrics
from ontime.model_deployment.service.protocol.messages import KEY, Keys, RequestedOutputs, Rows
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import ExplainProtocol, PredictProtocol
from ontime.model_deployment.service.protocol.v2 import InferProtocol
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.model_deployment.service.shadow import Shadow
from ontime.model_deployment.service.trace_context import Trace
from ontime.tasks.answers import DECISION
from ontime.tasks.names import PREDICTION, PROBABILITY

LOGGER = logging.getLogger(__name__)
LOGGED = (PROBABILITY, DECISION, PREDICTION)
"""What a line of the log may have of an answer."""


class Service:
    """The state of a running service; `draining` is true from the signal to stop on.

    `shadow` is a model that answers beside the first, for the log alone.

    Raises:
        OntimeError: the settings redact a feature that the model does not have, or the shadow has other features.
    """

    def __init__(self, model: Champion, settings: Settings, shadow: Champion | None = None) -> None:
        self.model, self.settings = model, settings
        self.records = RecordEncoding(model, settings.max_rows)
        self.v1, self.v2 = PredictProtocol(self.records), InferProtocol(self.records)
        self.explanation = ExplainProtocol(self.v1)
        self.log = Log(self.prediction_lines, settings.log_queue_lines)
        self.metrics = Metrics(model, lambda: self.log.dropped)
        self.batcher = Batcher(self.records.matrix, self._predict, settings.max_batch_rows, settings.max_queued_rows)
        self.explanations = ExplanationQueue(
            self.records.matrix, self._predict, Explainer(model).explain, settings.max_explained_rows
        )
        self.metrics.in_flight.set_function(lambda: self.batcher.rows + self.explanations.rows)
        self.draining = False
        process = os.urandom(6).hex()
        self._ids = (f"{process}-{number}" for number in itertools.count())
        features = model.encoder.features
        for name in settings.prediction_log_redact:
            if name not in features and name != KEY:
                raise OntimeError(f"{PREFIX}PREDICTION_LOG_REDACT: the model has no feature {name}")
        self._redacted = [self.records.field_of(name) for name in settings.prediction_log_redact if name in features]
        self._logs_keys = KEY not in settings.prediction_log_redact
        self._random = random.Random()  # noqa: S311 - a sample, not a secret
        self.shadow = Shadow(shadow, self.records, self.log, settings.shadow_queue_rows) if shadow else None
        if self.shadow:
            self.shadow.expose(self.metrics)

    def start(self) -> None:
        """Start the threads that work beside the answers."""
        self.log.start()
        if self.shadow:
            self.shadow.start()

    def close(self) -> None:
        """Finish what waits in the threads, but not for long."""
        if self.shadow:
            self.shadow.close()
        self.log.close()

    def _predict(self, matrix: Matrix) -> Outputs:
        self.records.check(matrix)
        predicted = self.model.predict(matrix)
        try:
            self.metrics.predictions.count(matrix, predicted)
        except Exception:  # the clients wait for their answers
            LOGGER.exception("predictions were not counted")
        return predicted

    async def outputs(self, rows: Rows, requested: Any) -> Outputs:
        """What the model says (rows,) of one request's rows, explained in `requested` if its protocol asks for that.

        Raises:
            ClientError: there are too many rows to explain, or the queue is full.
        """
        if isinstance(requested, RequestedOutputs) and requested.explained:
            return await self.explanations.outputs(rows, requested)
        return await self.batcher.outputs(rows)

    def next_id(self) -> str:
        """A new request id, unique to this process."""
        return next(self._ids)

    def log_predictions(self, request_id: str, trace: Trace, rows: Rows, predicted: Outputs, keys: Keys = None) -> None:
        """Log one line per row, for the share of requests that the settings ask for; the shadow predicts them too."""
        share = self.settings.prediction_log_share
        if share == 1 or self._random.random() < share:
            request = RequestPredictions(
                time.time_ns(),
                "prediction",
                request_id,
                trace,
                self.model,
                rows,
                predicted,
                keys if self._logs_keys else None,
            )
            self.log.add(request)
            if self.shadow:
                self.shadow.add(request)

    def prediction_lines(self, request: RequestPredictions) -> Iterator[PredictionLine]:
        """The log's lines for the rows of one request."""
        model, time_of_request = request.model, timestamp(request.time)
        keys = request.keys or itertools.repeat(None, len(request.predicted))
        answers = answers_of(request)
        logged = zip(self._logged_records(request), *answers, keys, strict=True)
        for row, (record, probability, decision, prediction, key) in enumerate(logged):
            yield PredictionLine(
                time_of_request,
                request.event,
                request.request_id,
                row,
                model.name,
                model.version,
                probability,
                decision,
                record,
                *request.trace,
                key or msgspec.UNSET,
                prediction,
            )

    def _logged_records(self, request: RequestPredictions) -> Iterable[Any]:
        """The records of a request as the log shows them."""
        rows = request.rows
        if rows is None:
            return itertools.repeat(msgspec.UNSET, len(request.predicted))
        records = rows if isinstance(rows, list) else map(self.records.record_of, rows.tolist())
        return self.records.with_names(map(self._redact, records) if self._redacted else records)

    def _redact(self, record: Any) -> Any:
        # a copy, because the shadow may not have seen the record yet
        record = copy.copy(record)
        for field in self._redacted:
            setattr(record, field, msgspec.UNSET)
        return record


def answers_of(request: RequestPredictions) -> Iterator[Iterable[Any]]:
    """Values of `LOGGED` for the rows of a request; unset where the model does not answer that."""
    answer = request.model.answer
    for name in LOGGED:
        if name in answer.types:
            yield answer.values(name, request.predicted).tolist()
        else:
            yield itertools.repeat(msgspec.UNSET, len(request.predicted))
