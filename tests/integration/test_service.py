"""The service as a process: real clients, broken ones, and a stop that drops nothing."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ontime.common.files import read_json
from ontime.model_deployment.inference.signing import make_key, sign
from tests.checkouts import environment
from tests.mutations import mutations, send_all, sound
from tests.services import Running, serving, start
from tests.sigstore_server import PROVIDER, sigstore_server

pytestmark = pytest.mark.integration
MUTATIONS = int(os.environ.get("ONTIME_MUTATIONS", "5000"))
STOPS = int(os.environ.get("ONTIME_STOPS", "3"))
LASTING_REQUESTS = int(os.environ.get("ONTIME_REQUESTS", "20000"))


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for the tests that leave it as it is."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with serving(signed, log, BODY_SECONDS="1", PREDICTION_LOG_SHARE="0.01") as found:
        yield found


@pytest.fixture(scope="module")
def golden(signed: Path) -> dict[str, Any]:
    """Records and their probabilities."""
    content: dict[str, Any] = read_json(signed / "model" / "golden.json")
    return content


def raw(running: Running, content: bytes, wait: float = 5) -> bytes:
    """Send bytes as they are and read until the other side closes or `wait` seconds pass."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=wait) as connection:
        connection.sendall(content)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pass
    return received


def test_a_client_that_sends_its_body_too_slowly_is_answered_and_closed(running: Running) -> None:
    head = b"POST /v2/models/parcels/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
    started = time.monotonic()
    answer = raw(running, head)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body: not received within 1 seconds" in answer
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("cut", [None, 30, 400])
def test_requests_on_one_connection_are_answered_in_their_order(
    running: Running, golden: dict[str, Any], cut: int | None
) -> None:
    """Whatever a read brings at once: several requests, or a part of one."""
    content = b""
    for number, record in enumerate(golden["records"][:4]):
        body = json.dumps({"instances": [record]}).encode()
        ending = b"Connection: close\r\n" if number == 3 else b""
        head = (
            b"POST /v1/models/parcels:predict HTTP/1.1\r\nHost: a\r\nX-Request-Id: %d\r\n%bContent-Length: %d\r\n\r\n"
        )
        content += head % (number, ending, len(body)) + body
        if number == 1:
            content += b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
        connection.sendall(content[:cut])
        if cut is not None:
            time.sleep(0.2)
            connection.sendall(content[cut:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    order = [number or ready for number, ready in re.findall(rb'x-request-id: (\d)|"(ready)"', answer)]
    assert order == [b"0", b"1", b"ready", b"2", b"3"]
    found = [float(value) for value in re.findall(rb'"predictions":\[([^]]+)\]', answer)]
    assert found == pytest.approx(golden["probabilities"][:4], abs=1e-6)
    assert answer.count(b"connection: close") == 1


def test_a_client_that_leaves_before_its_answer_harms_nobody(running: Running, golden: dict[str, Any]) -> None:
    body = json.dumps({"instances": golden["records"]}).encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"POST /v1/models/parcels:predict HTTP/1.1\r\nHost: a\r\n")
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = httpx2.post(f"{running.url}/v1/models/parcels:predict", content=body)
    assert answer.json()["predictions"] == pytest.approx(golden["probabilities"], abs=1e-6)
    assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v2/models/parcels/infer HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    ],
)
def test_what_is_no_http_is_refused_and_harms_nobody(running: Running, content: bytes) -> None:
    answer = raw(running, content, wait=1.5)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert httpx2.get(f"{running.url}/v2/health/ready").status_code == 200


def test_metrics_are_on_a_port_of_their_own(running: Running) -> None:
    assert "ontime_model_info" in httpx2.get(f"http://127.0.0.1:{running.metrics_port}/metrics").text
    assert httpx2.get(f"{running.url}/metrics").status_code == 404


def test_mutated_requests_are_never_an_error_of_the_service_and_leave_its_memory_flat(
    running: Running, golden: dict[str, Any]
) -> None:
    assert set(asyncio.run(send_all(running.url, sound(golden)))) == {200}
    counts = asyncio.run(send_all(running.url, mutations(golden, MUTATIONS // 2, seed=1)))
    before = running.memory_mib()
    more = asyncio.run(send_all(running.url, mutations(golden, MUTATIONS // 2, seed=2)))
    growth = running.memory_mib() - before
    print(f"{MUTATIONS} mutated requests: {counts}, then {more}; memory grew by {growth:.1f} MiB of {before:.0f}")
    assert counts.get(400, 0) > MUTATIONS / 10
    assert growth < 10


def test_memory_stays_flat_over_many_requests(running: Running, golden: dict[str, Any]) -> None:
    body = json.dumps({"instances": golden["records"]}).encode()
    requests: list[tuple[str, dict[str, str], bytes]] = [("/v1/models/parcels:predict", {}, body)] * (
        LASTING_REQUESTS // 2
    )
    asyncio.run(send_all(running.url, requests))
    before = running.memory_mib()
    assert asyncio.run(send_all(running.url, requests)) == {200: LASTING_REQUESTS // 2}
    growth = running.memory_mib() - before
    print(f"{LASTING_REQUESTS} requests: memory grew by {growth:.1f} MiB of {before:.0f}")
    assert growth < 10


def test_a_stop_under_sixteen_connections_drops_no_request(
    signed: Path, golden: dict[str, Any], tmp_path: Path
) -> None:
    body = json.dumps({"instances": golden["records"][:1]}).encode()
    answered = 0
    for number in range(STOPS):
        running = start(signed, tmp_path / f"{number}.log", DRAIN_SECONDS="1", ACCESS_LOG="false")
        answered += asyncio.run(load_until_stopped(running, body))
        assert running.process.wait(timeout=20) == 0
    print(f"{STOPS} stops under 16 connections: {answered} requests, none failed")


async def load_until_stopped(running: Running, body: bytes) -> int:
    """Requests on 16 connections; SIGTERM half a second later; how many were answered, and none otherwise than by 200.

    A client that was told `Connection: close` opens no new connection, as a load balancer that sees "not ready".
    """
    head = b"POST /v1/models/parcels:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def worker() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        count = 0
        while True:
            writer.write(head + body)
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert headers.startswith(b"http/1.1 200 "), headers
            await reader.readexactly(int(headers.split(b"content-length: ")[1].split(b"\r\n")[0]))
            count += 1
            if b"connection: close" in headers:
                writer.close()
                return count

    async def stop() -> None:
        await asyncio.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)

    *counts, _ = await asyncio.gather(*(worker() for _ in range(16)), stop())
    return sum(count for count in counts if count)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("model.onnx", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "not what was signed"),
        ("model.sig", lambda path: path.unlink(), "no signature; sign the model"),
        ("model.pub", lambda path: make_key(path.with_suffix(".key")), "not signed by"),
    ],
)
def test_a_model_that_nobody_signed_is_not_served(
    signed: Path, tmp_path: Path, name: str, change: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(signed, tmp_path / "changed")
    change(next((tmp_path / "changed").rglob(name)))
    with pytest.raises(AssertionError, match=f"did not start: error: .*{reason}"):
        start(tmp_path / "changed", tmp_path / "service.log")


def test_a_keyless_signature_is_taken_by_its_identity_alone(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(signed / "model", tmp_path / "model")
    with sigstore_server("https://example.invalid/sign.yml@refs/heads/main") as sigstore:
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "sigstore.json").write_text(sigstore.trust_config)
        sign(tmp_path / "model", tmp_path / "model.sig", None, tmp_path / "sigstore.json")
    wanted = {
        "PUBLIC_KEY": "",
        "IDENTITY": sigstore.identity,
        "IDENTITY_PROVIDER": PROVIDER,
        "TRUST_CONFIG": str(tmp_path / "model.trust.json"),
    }
    found = start(tmp_path, tmp_path / "service.log", **wanted)
    found.process.terminate()
    assert found.process.wait(timeout=20) == 0
    with pytest.raises(AssertionError, match=r"error: .*model\.sig: not signed by somebody, or changed since"):
        start(tmp_path, tmp_path / "service.log", **{**wanted, "IDENTITY": "somebody"})


@pytest.mark.parametrize("name", ["PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_is_told(signed: Path, running: Running, tmp_path: Path, name: str) -> None:
    taken = {"PORT": running.port, "METRICS_PORT": running.metrics_port}[name]
    with pytest.raises(
        AssertionError, match=rf"did not start: error: port {taken} on 127\.0\.0\.1: Address already in u"
    ):
        start(signed, tmp_path / "service.log", **{name: str(taken)})


def test_generated_requests_keep_to_the_openapi_document(running: Running, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            "schemathesis",
            "run",
            f"{running.url}/openapi.json",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--max-examples=40",
            "--seed=1",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
