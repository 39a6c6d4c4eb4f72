"""Requests of one turn of the event loop run together; each gets its own rows, or the reason that there are none."""

import asyncio
import threading

import numpy as np
import pytest

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.service.batching import Batcher, QueueFullError


class Recorder:
    """A model whose probability is a row's first number; it records its batches."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, matrix: Matrix) -> Outputs:
        self.rows.append(len(matrix))
        self.threads.add(threading.current_thread().name)
        if (matrix == -1).any():
            raise ValueError("a run that fails")
        return matrix[:, 0]


def rows(first: int, count: int = 1) -> Matrix:
    return np.arange(first, first + count, dtype=np.float32).reshape(-1, 1)


def test_requests_of_one_turn_run_together_and_get_their_own_rows() -> None:
    predict = Recorder()

    async def main() -> list[Outputs]:
        batcher = Batcher(np.concatenate, predict, 100, 1000)
        return await asyncio.gather(*(batcher.outputs(rows(first, 3)) for first in range(0, 30, 10)))

    found = asyncio.run(main())
    assert predict.rows == [9]
    assert [list(part) for part in found] == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]


def test_a_batch_has_no_more_rows_than_allowed() -> None:
    predict = Recorder()

    async def main() -> None:
        batcher = Batcher(np.concatenate, predict, 10, 1000)
        await asyncio.gather(*(batcher.outputs(rows(0, count)) for count in (4, 4, 4, 10, 1)))
        assert batcher.rows == 0

    asyncio.run(main())
    assert predict.rows == [8, 4, 10, 1]


def test_a_large_request_leaves_the_event_loop_free() -> None:
    predict = Recorder()

    async def main() -> list[float]:
        found = await Batcher(np.concatenate, predict, 10, 1000).outputs(rows(0, 11))
        return list(found)

    assert asyncio.run(main()) == list(range(11))
    assert threading.current_thread().name not in predict.threads


def test_rows_that_make_a_run_fail_fail_their_own_request_alone() -> None:
    async def main() -> list[object]:
        batcher = Batcher(np.concatenate, Recorder(), 100, 1000)
        failed = await asyncio.gather(*(batcher.outputs(rows(first)) for first in (-1, 5)), return_exceptions=True)
        assert batcher.rows == 0
        return [*failed, list(await batcher.outputs(rows(7)))]

    first, second, after = asyncio.run(main())
    assert isinstance(first, ValueError)
    assert isinstance(second, np.ndarray)
    assert (list(second), after) == ([5], [7])


def test_more_waiting_rows_than_allowed_are_refused() -> None:
    async def main() -> None:
        batcher = Batcher(np.concatenate, Recorder(), 100, 10)
        waiting = asyncio.ensure_future(batcher.outputs(rows(0, 8)))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.outputs(rows(0, 3))
        await waiting
        assert len(await batcher.outputs(rows(0, 10))) == 10

    asyncio.run(main())


def test_requests_are_answered_and_their_rows_given_back_when_joining_them_fails() -> None:
    async def main() -> list[object]:
        def join(_: object) -> Matrix:
            raise MemoryError

        batcher = Batcher(join, Recorder(), 100, 1000)
        failed = await asyncio.gather(*(batcher.outputs(rows(0)) for _ in range(3)), return_exceptions=True)
        assert batcher.rows == 0
        return list(failed)

    assert [type(error) for error in asyncio.run(main())] == [MemoryError] * 3


def test_rows_of_a_request_that_is_given_up_are_given_back() -> None:
    async def main() -> None:
        batcher = Batcher(np.concatenate, Recorder(), 100, 1000)
        left, stays = (asyncio.ensure_future(batcher.outputs(rows(first))) for first in (1, 2))
        await asyncio.sleep(0)
        left.cancel()
        assert list(await stays) == [2]
        assert batcher.rows == 0

    asyncio.run(main())
