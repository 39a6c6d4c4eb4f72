"""The service answers whatever becomes of its standard output, and counts the lines that nobody got."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ontime.common.files import read_json
from tests.checkouts import TOP
from tests.mutations import mutations, send_all, sound
from tests.servers import free_port
from tests.services import service_variables

pytestmark = pytest.mark.integration
MUTATIONS = int(os.environ.get("ONTIME_MUTATIONS", "5000"))
START_SECONDS = 60
COMMAND = [sys.executable, "-m", "ontime", "serve"]


@contextmanager
def closed_later() -> Iterator[tuple[list[str], int, Callable[[], None]]]:
    """A pipe whose reader ends once the service is ready, as `ontime serve | head -1`."""
    reading, writing = os.pipe()
    try:
        yield COMMAND, writing, lambda: os.close(reading)
    finally:
        os.close(writing)


@contextmanager
def never_open() -> Iterator[tuple[list[str], int, Callable[[], None]]]:
    """No standard output at all, as `ontime serve >&-`."""
    yield ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND], subprocess.DEVNULL, lambda: None


@contextmanager
def full() -> Iterator[tuple[list[str], int, Callable[[], None]]]:
    """A disk without room."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        yield COMMAND, descriptor, lambda: None
    finally:
        os.close(descriptor)


@contextmanager
def unread() -> Iterator[tuple[list[str], int, Callable[[], None]]]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    try:
        yield COMMAND, writing, lambda: None
    finally:
        os.close(writing)
        os.close(reading)


def wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            assert httpx2.get(f"{url}/v2/health/ready").status_code == 200
            return
        except httpx2.TransportError:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)


def dropped(metrics_port: int) -> int:
    """Lines that the service counts as lost."""
    text = httpx2.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    (found,) = re.findall(r"^ontime_log_lines_dropped_total (\S+)$", text, re.MULTILINE)
    return int(float(found))


@pytest.mark.parametrize("output", [closed_later, never_open, full, unread])
def test_every_request_is_answered_and_lost_lines_are_counted(signed: Path, tmp_path: Path, output: Any) -> None:
    golden = read_json(signed / "model" / "golden.json")
    port, metrics_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    variables = service_variables(
        signed, PORT=str(port), METRICS_PORT=str(metrics_port), LOG_QUEUE_LINES="2000", DRAIN_SECONDS="0"
    )
    with output() as (command, standard_output, when_ready), (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(command, env=variables, stdout=standard_output, stderr=errors, cwd=TOP)
        try:
            wait_until_ready(process, url)
            when_ready()
            counts = asyncio.run(send_all(url, mutations(golden, MUTATIONS, seed=3)))
            for path in ("live", "ready"):
                assert httpx2.get(f"{url}/v2/health/{path}", timeout=2).status_code == 200
            assert set(asyncio.run(send_all(url, sound(golden)))) == {200}
            time.sleep(1)
            lost = dropped(metrics_port)
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0
    print(f"{output.__name__}: {MUTATIONS} mutated requests, all answered: {dict(counts)}; {lost} lines lost")
    assert counts.total() == MUTATIONS
    # one line for each request at least; what a pipe and the queue hold is not lost yet
    assert lost >= MUTATIONS - 2000 - 65536 // 100 * (output is unread)
    assert (tmp_path / "errors").read_text() == ""
