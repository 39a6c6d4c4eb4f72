"""Batches the rows of requests that arrive within two iterations of the event loop into one run of the model.

No request waits for a batch to fill: a batch contains the requests that have arrived when the event loop runs it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Probability
from ontime.model_deployment.service.protocol.messages import Rows

Done = Callable[[Probability | BaseException], None]
QueuedRequest = tuple[Rows, Done]


class QueueFullError(Exception):
    """The queue has more rows than the settings allow."""


class Batcher:
    """Runs `predict` on the rows of waiting requests, at most `max_batch_rows` at once on the event loop.

    `join` makes one matrix of the rows of several requests. A request with more rows runs on a thread, so that
    short requests and health checks are answered meanwhile.
    """

    def __init__(
        self,
        join: Callable[[Sequence[Rows]], Matrix],
        predict: Callable[[Matrix], Probability],
        max_batch_rows: int,
        max_queued_rows: int,
    ) -> None:
        self.join, self.predict = join, predict
        self.max_batch_rows, self.max_queued_rows = max_batch_rows, max_queued_rows
        self.rows = 0
        self._waiting: list[QueuedRequest] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-requests")

    def submit(self, rows: Rows, done: Done) -> None:
        """Queue one request's rows; `done` is called later with their probabilities (rows,) or an exception.

        Raises:
            QueueFullError: the queue is full.
        """
        count = len(rows)
        if self.rows + count > self.max_queued_rows and self.rows:
            raise QueueFullError
        self.rows += count
        loop = asyncio.get_running_loop()
        if count > self.max_batch_rows:
            run = loop.run_in_executor(self._thread, lambda: self.predict(self.join([rows])))
            run.add_done_callback(lambda run: self._complete((rows, done), run.exception() or run.result()))
            return
        if not self._waiting:
            # one iteration later, so that requests received meanwhile join the batch
            loop.call_soon(loop.call_soon, self._run)
        self._waiting.append((rows, done))

    def _complete(self, request: QueuedRequest, result: Probability | BaseException) -> None:
        rows, done = request
        self.rows -= len(rows)
        done(result)

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        start = 0
        while start < len(waiting):
            end, rows = start + 1, len(waiting[start][0])
            while end < len(waiting) and rows + len(waiting[end][0]) <= self.max_batch_rows:
                rows += len(waiting[end][0])
                end += 1
            self._run_together(waiting[start:end])
            start = end

    def _run_together(self, batch: list[QueuedRequest]) -> None:
        try:
            probability = self.predict(self.join([rows for rows, _ in batch]))
        except Exception as error:  # every waiting request must be answered
            if len(batch) == 1:
                self._complete(batch[0], error)
                return
            # one request's rows may be the cause
            for one in batch:
                self._run_together([one])
            return
        start = 0
        for request in batch:
            end = start + len(request[0])
            self._complete(request, probability[start:end])
            start = end
