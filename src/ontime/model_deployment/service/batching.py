"""Batches the rows of requests that arrive within two iterations of the event loop into one run of the model.

No request waits for a batch to fill: a batch contains the requests that have arrived when the event loop runs it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.service.protocol.messages import ClientError, Rows

QueuedRequest = tuple[Rows, "asyncio.Future[Outputs]"]


class QueueFullError(ClientError):
    """The queue has more rows than the settings allow."""

    def __init__(self) -> None:
        super().__init__(429, "the queue is full; try again later", [(b"retry-after", b"1")])


class Batcher:
    """Runs `predict` on the rows of waiting requests, at most `max_batch_rows` at once on the event loop.

    `join` makes one matrix of the rows of several requests. A request with more rows runs on a thread, so that
    short requests and health checks are answered meanwhile.
    """

    def __init__(
        self,
        join: Callable[[Sequence[Rows]], Matrix],
        predict: Callable[[Matrix], Outputs],
        max_batch_rows: int,
        max_queued_rows: int,
    ) -> None:
        self.join, self.predict = join, predict
        self.max_batch_rows, self.max_queued_rows = max_batch_rows, max_queued_rows
        self.rows = 0
        self._waiting: list[QueuedRequest] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-requests")

    async def outputs(self, rows: Rows) -> Outputs:
        """What the model says (rows,) of one request's rows.

        Raises:
            QueueFullError: the queue is full.
        """
        count = len(rows)
        if self.rows + count > self.max_queued_rows and self.rows:
            raise QueueFullError
        self.rows += count
        try:
            loop = asyncio.get_running_loop()
            if count > self.max_batch_rows:
                return await loop.run_in_executor(self._thread, lambda: self.predict(self.join([rows])))
            if not self._waiting:
                # one iteration later, so that requests received meanwhile join the batch
                loop.call_soon(loop.call_soon, self._run)
            result: asyncio.Future[Outputs] = loop.create_future()
            self._waiting.append((rows, result))
            return await result
        finally:
            self.rows -= count

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            start = 0
            while start < len(waiting):
                end, rows = start + 1, len(waiting[start][0])
                while end < len(waiting) and rows + len(waiting[end][0]) <= self.max_batch_rows:
                    rows += len(waiting[end][0])
                    end += 1
                self._run_together(waiting[start:end])
                start = end
        except Exception as error:  # every waiting request must be answered
            for _, result in waiting:
                if not result.done():
                    result.set_exception(error)

    def _run_together(self, batch: list[QueuedRequest]) -> None:
        try:
            outputs = self.predict(self.join([rows for rows, _ in batch]))
        except Exception as error:  # every waiting request must be answered
            if len(batch) == 1:
                _give(batch[0][1], error)
                return
            # one request's rows may be the cause
            for one in batch:
                self._run_together([one])
            return
        start = 0
        for rows, result in batch:
            end = start + len(rows)
            _give(result, outputs[start:end])
            start = end


def _give(result: "asyncio.Future[Outputs]", value: Outputs | Exception) -> None:
    """Set a result or an exception, unless nobody waits for it any more."""
    if result.done():
        return
    if isinstance(value, Exception):
        result.set_exception(value)
    else:
        result.set_result(value)
