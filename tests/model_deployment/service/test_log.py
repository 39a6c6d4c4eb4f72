"""The log has one JSON object per line, in order, and is written within a fraction of a second."""

import asyncio
import json
import time

import pytest

from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine
from ontime.model_deployment.service.log import FLUSH_ROWS, FLUSH_SECONDS, Log, RequestPredictions


def no_lines(_: RequestPredictions) -> list[PredictionLine]:
    """A log that is given no predictions."""
    return []


def request_line(number: int) -> RequestLine:
    return RequestLine(time.time_ns(), "request", 'a "quoted"\nid', "POST", "/", number, 0.5)


def test_the_log_is_json_line_by_line_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = Log(no_lines)
        for number in range(3):
            log.add(request_line(number))
        assert capfd.readouterr().out == ""
        log.write("ready", status=3)

    asyncio.run(main())
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [0, 1, 2, 3]
    assert [line["event"] for line in lines] == ["request"] * 3 + ["ready"]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_the_log_is_written_once_it_is_long_or_old(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = Log(no_lines)
        for _ in range(FLUSH_ROWS):
            log.add(request_line(200))
        assert len(capfd.readouterr().out.splitlines()) == FLUSH_ROWS
        log.add(request_line(201))
        await asyncio.sleep(2 * FLUSH_SECONDS)

    asyncio.run(main())
    assert json.loads(capfd.readouterr().out)["status"] == 201
