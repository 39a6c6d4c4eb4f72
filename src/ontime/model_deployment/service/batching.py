"""Rows of many requests in one run of the model: what arrives in one turn of the event loop runs together.

No request waits for another: the batch is what is there when the loop gets to it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ontime.model_deployment.service.model import Matrix

Probability = npt.NDArray[np.float32]


class QueueFullError(Exception):
    """More rows wait than are allowed."""


class Batcher:
    """Runs `predict` on the rows of waiting requests, at most `max_batch_rows` at once on the event loop.

    A request with more rows runs on one thread, so that short ones and health checks go on.
    """

    def __init__(self, predict: Callable[[Matrix], Probability], max_batch_rows: int, max_queued_rows: int) -> None:
        self.predict, self.max_batch_rows, self.max_queued_rows = predict, max_batch_rows, max_queued_rows
        self.rows = 0
        self._waiting: list[tuple[Matrix, asyncio.Future[Probability]]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-requests")

    async def probability(self, matrix: Matrix) -> Probability:
        """Probabilities (rows,) of one request's rows.

        Raises:
            QueueFullError: too many rows wait already.
        """
        if self.rows + len(matrix) > self.max_queued_rows and self.rows:
            raise QueueFullError
        self.rows += len(matrix)
        try:
            loop = asyncio.get_running_loop()
            if len(matrix) > self.max_batch_rows:
                return await loop.run_in_executor(self._thread, self.predict, matrix)
            if not self._waiting:
                loop.call_soon(self._run)
            future: asyncio.Future[Probability] = loop.create_future()
            self._waiting.append((matrix, future))
            return await future
        finally:
            self.rows -= len(matrix)

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

    def _run_together(self, batch: list[tuple[Matrix, "asyncio.Future[Probability]"]]) -> None:
        try:
            together = batch[0][0] if len(batch) == 1 else np.concatenate([matrix for matrix, _ in batch])
            found = self.predict(together)
        except Exception as error:  # every request that waits must be answered
            if len(batch) > 1:
                # the fault may be of one request's rows
                for one in batch:
                    self._run_together([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        place = 0
        for matrix, future in batch:
            if not future.done():
                future.set_result(found[place : place + len(matrix)])
            place += len(matrix)
