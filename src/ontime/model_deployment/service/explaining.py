"""Explains the rows of requests on a thread of its own, one request after another, beside the batches."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.inference.explanation import Explanation
from ontime.model_deployment.service.batching import QueueFullError
from ontime.model_deployment.service.protocol.messages import ClientError, RequestedOutputs, Rows

QUEUED_REQUESTS = 16
"""The queue holds as many rows as this many of the largest requests."""


class ExplanationQueue:
    """Predicts and explains, at most `max_rows` for one request; `join` makes one matrix of a request's rows."""

    def __init__(
        self,
        join: Callable[[Sequence[Rows]], Matrix],
        predict: Callable[[Matrix], Outputs],
        explain: Callable[[Matrix], Explanation],
        max_rows: int,
    ) -> None:
        self.join, self.predict, self.explain, self.max_rows = join, predict, explain, max_rows
        self.rows = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explanations")

    async def outputs(self, rows: Rows, requested: RequestedOutputs) -> Outputs:
        """What the model says (rows,) of one request's rows, whose explanation `requested` then holds.

        Raises:
            ClientError: the request has too many rows.
            QueueFullError: the queue is full.
        """
        count = len(rows)
        if count > self.max_rows:
            raise ClientError(413, f"expected at most {self.max_rows} rows to explain, found {count}")
        if self.rows + count > QUEUED_REQUESTS * self.max_rows:
            raise QueueFullError
        self.rows += count
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, rows, requested)
        finally:
            self.rows -= count

    def _run(self, rows: Rows, requested: RequestedOutputs) -> Outputs:
        matrix = self.join([rows])
        outputs = self.predict(matrix)
        requested.explanation = self.explain(matrix)
        return outputs
