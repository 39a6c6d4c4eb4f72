"""The log has one JSON object per line, in order, and neither blocks nor fails whoever adds to it."""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.inference.prediction_log import LINES_LOST, PredictionLine, RequestLine
from ontime.model_deployment.service.log import (
    CLOSE_SECONDS,
    FLUSH_LINES,
    FLUSH_SECONDS,
    Log,
    LogHandler,
    RequestPredictions,
)
from ontime.model_deployment.service.trace_context import NO_TRACE


def no_lines(_: RequestPredictions) -> list[PredictionLine]:
    """A log that is given no predictions."""
    return []


def request_line(number: int) -> RequestLine:
    return RequestLine(time.time_ns(), "request", 'a "quoted"\nid', "POST", "/", number, 0.5)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe: that to read from, which the test closes, and that to write to."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def test_the_log_is_json_line_by_line_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(no_lines, 100)
    for number in range(3):
        log.add(request_line(number))
    assert capfd.readouterr().out == ""
    log.write("ready", status=3)
    log.flush()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [0, 1, 2, 3]
    assert [line["event"] for line in lines] == ["request"] * 3 + ["ready"]
    assert all(line["time"].endswith("+00:00") for line in lines)


@pytest.mark.parametrize("count", [1, FLUSH_LINES])
def test_the_thread_writes_once_the_queue_is_long_or_old(capfd: pytest.CaptureFixture[str], count: int) -> None:
    log = Log(no_lines, 1000)
    log.start()
    for _ in range(count):
        log.add(request_line(200))
    time.sleep(3 * FLUSH_SECONDS)
    assert len(capfd.readouterr().out.splitlines()) == count
    log.add(request_line(201))
    log.close()
    assert json.loads(capfd.readouterr().out)["status"] == 201


def test_a_full_queue_drops_lines_and_counts_them(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(no_lines, 5)
    for number in range(8):
        log.add(request_line(number))
    assert log.dropped == 3
    log.flush()
    told, *written = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (told["event"], told["lines"]) == (LINES_LOST, 3)
    assert len(written) == 5
    log.add(request_line(8))
    log.flush()
    assert json.loads(capfd.readouterr().out)["status"] == 8
    assert log.dropped == 3


def test_an_output_that_nobody_reads_stops_neither_the_adding_nor_the_end(pipe: tuple[int, int]) -> None:
    log = Log(no_lines, 5000, pipe[1])
    log.start()
    started = time.monotonic()
    for number in range(20_000):
        log.add(request_line(number))
    assert time.monotonic() - started < 2
    assert log.dropped >= 15_000 - 2 * 65536 // 100
    log.close()
    assert time.monotonic() - started < 2 * CLOSE_SECONDS
    os.close(pipe[0])
    # its thread ends before the pipe's number can be that of another file
    log.close()


def test_lines_for_a_closed_output_are_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    log = Log(no_lines, 100, pipe[1])
    for number in range(3):
        log.add(request_line(number))
    log.flush()
    assert log.dropped == 3
    # the line that would tell of them is none of them
    log.flush()
    assert log.dropped == 3


def test_lines_for_an_output_that_was_never_open_are_counted() -> None:
    log = Log(no_lines, 100, None)
    log.add(request_line(0))
    log.flush()
    assert log.dropped == 1


def test_a_line_that_was_cut_does_not_run_into_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that fills up in the middle of a line and has room again later."""
    path, write = tmp_path / "log", os.write
    room = [150]

    def write_while_there_is_room(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, bytes(content)[: room[0]])
        room[0] -= written
        return written

    with path.open("wb") as stream:
        monkeypatch.setattr(os, "write", write_while_there_is_room)
        log = Log(no_lines, 100, stream.fileno())
        for number in range(3):
            log.add(request_line(number))
        log.flush()
        assert log.dropped == 2
        room[0] = 10_000
        log.add(request_line(9))
        log.flush()
    whole = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [line.get("status", line["event"]) for line in whole] == [0, LINES_LOST, 9]
    assert whole[1]["lines"] == 2
    assert log.dropped == 2


def test_an_entry_that_cannot_be_encoded_costs_no_other_line(
    model: Champion, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log(lambda _: [object(), object()], 100)  # type: ignore[list-item]
    log.add(request_line(1))
    log.add(RequestPredictions(0, "prediction", "a", NO_TRACE, model, [], np.zeros(2, dtype=np.float32)))
    log.add(request_line(2))
    log.flush()
    assert [json.loads(line)["status"] for line in capfd.readouterr().out.splitlines()] == [1, 2]
    assert log.dropped == 2


def test_records_of_python_logging_are_lines_with_their_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(no_lines, 100)
    logger = logging.Logger("a.library")
    logger.addHandler(LogHandler(log))
    try:
        raise ValueError("a reason")
    except ValueError:
        logger.exception("it failed: %s", "here")
    logger.error("wrong number of arguments: %s %s", 1)
    log.flush()
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["event"], line["logger"], line["message"]) == ("error", "a.library", "it failed: here")
    assert "ValueError: a reason" in line["traceback"]


def test_lines_of_several_threads_are_all_written(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(no_lines, 10_000)
    log.start()

    def add_many() -> None:
        for _ in range(1000):
            log.add(request_line(0))

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(capfd.readouterr().out.splitlines()) == 4000
    assert log.dropped == 0


def test_what_fails_again_and_again_is_said_once_a_minute(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = Log(no_lines, 100)
    exporter, other = logging.Logger("opentelemetry.exporter.x"), logging.Logger("a.library")
    handler = LogHandler(log)
    for logger in (exporter, other):
        logger.addHandler(handler)
    for second in range(121):
        now[0] = 1000.0 + second
        exporter.warning("no collector, attempt %d", second)
        if second < 3:
            exporter.warning("another message")
            other.warning("a message")
    log.flush()
    messages = [json.loads(line)["message"] for line in capfd.readouterr().out.splitlines()]
    assert [message for message in messages if message.startswith("no collector")] == [
        f"no collector, attempt {second}" for second in (0, 60, 120)
    ]
    assert messages.count("another message") == 1
    assert messages.count("a message") == 3
