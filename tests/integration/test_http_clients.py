"""Clients of each kind, unchanged, against the service as a process: what they ask for, they get."""

import contextlib
import gzip
import http.client
import json
import resource
import shutil
import socket
import subprocess
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from ontime.common.files import read_json
from tests.browser import Tab, chromium
from tests.servers import http_server
from tests.services import Running, serving, start

pytestmark = pytest.mark.integration
PREDICT = "/v1/models/parcels:predict"
LARGEST_BODY = 16 * 1024 * 1024
CONNECTIONS = 5000
BOMB_GIGABYTES = 10
PREFIX = "/team/ontime"
WAIT_SECONDS = 30


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with serving(
        signed, log, DRAIN_SECONDS="0", MAX_BODY_BYTES=str(LARGEST_BODY), PREDICTION_LOG_SHARE="0.01"
    ) as found:
        yield found
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def golden(signed: Path) -> dict[str, Any]:
    """Records and their probabilities."""
    content: dict[str, Any] = read_json(signed / "model" / "golden.json")
    return content


@pytest.fixture(scope="module")
def body(golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden records as a file with the body of a request."""
    path = tmp_path_factory.mktemp("body") / "body.json"
    path.write_text(json.dumps({"instances": golden["records"]}))
    return path


def probabilities(text: str) -> list[float]:
    """Of one answer."""
    found: list[float] = json.loads(text)["predictions"]
    return found


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
@pytest.mark.parametrize("kind", ["length", "chunks"])
def test_the_jdks_client_which_offers_http_2_gets_the_golden_probabilities(
    running: Running, golden: dict[str, Any], body: Path, kind: str
) -> None:
    program = Path(__file__).with_name("HttpClientPost.java")
    done = subprocess.run(
        ["java", program, f"{running.url}{PREDICT}", body, kind, "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = done.stdout.splitlines()
    assert [probabilities(answer) for answer in answers] == [pytest.approx(golden["probabilities"], abs=1e-6)] * 3


def curl_has_http_2() -> bool:
    """Whether there is a curl, built to speak HTTP/2."""
    if shutil.which("curl") is None:
        return False
    return "HTTP2" in subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--http2"], marks=pytest.mark.skipif(not curl_has_http_2(), reason="no curl that has HTTP/2")),
        pytest.param(
            ["--http2", "--header", "Transfer-Encoding: chunked"],
            marks=pytest.mark.skipif(not curl_has_http_2(), reason="no curl that has HTTP/2"),
        ),
        ["--http1.1", "--header", "Expect: 100-continue"],
        ["--http1.1", "--header", "Transfer-Encoding: chunked"],
        ["--http1.0"],
    ],
)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_golden_probabilities_twice(
    running: Running, golden: dict[str, Any], body: Path, options: list[str]
) -> None:
    address = f"{running.url}{PREDICT}"
    output = ["--silent", "--show-error", "--fail", "--max-time", "20", "--write-out", "\n"]
    post = ["--header", "Content-Type: application/json", "--data-binary", f"@{body}"]
    done = subprocess.run(
        ["curl", *output, *options, *post, address, address], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert [probabilities(answer) for answer in answers] == [pytest.approx(golden["probabilities"], abs=1e-6)] * 2


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritonclient_gets_the_golden_probabilities(
    running: Running, golden: dict[str, Any], binary: bool, compression: str | None
) -> None:
    import tritonclient.http as triton

    records, inputs = golden["records"], []
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("parcels")
        for tensor in client.get_model_metadata("parcels")["inputs"]:
            values = [record[tensor["name"]] for record in records]
            if tensor["datatype"] == "BYTES":
                array = np.array([value or "" for value in values], dtype=np.object_)
            else:
                array = np.array(values, dtype=np.float32)
            inputs.append(triton.InferInput(tensor["name"], [len(records)], tensor["datatype"]))
            inputs[-1].set_data_from_numpy(array, binary_data=binary)
        outputs = [triton.InferRequestedOutput("probability", binary_data=binary)]
        found = client.infer(
            "parcels",
            inputs,
            outputs=outputs,
            request_id="7",
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )
        assert found.get_response()["id"] == "7"
        np.testing.assert_allclose(found.as_numpy("probability"), golden["probabilities"], rtol=0, atol=1e-6)


def test_the_tensorflow_serving_form_gets_the_golden_probabilities(running: Running, golden: dict[str, Any]) -> None:
    body = json.dumps({"signature_name": "serving_default", "instances": golden["records"]}).encode()
    # the example client of TensorFlow Serving's documentation sends no content type of its own
    request = urllib.request.Request(f"{running.url}{PREDICT}", body, {"Content-Type": ""})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - a loopback address
        np.testing.assert_allclose(json.load(answer)["predictions"], golden["probabilities"], rtol=0, atol=1e-6)


def test_a_body_in_pieces_without_length_is_read(running: Running, golden: dict[str, Any]) -> None:
    body = json.dumps({"instances": golden["records"][:3]}).encode()
    pieces = [body[offset : offset + 50] for offset in range(0, len(body), 50)]
    answer = httpx2.post(f"{running.url}{PREDICT}", content=iter(pieces))
    assert answer.json()["predictions"] == pytest.approx(golden["probabilities"][:3], abs=1e-6)


def raw(running: Running, *pieces: bytes, shut_down: bool = False) -> bytes:
    """What comes for some bytes until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if shut_down:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "head",
    [
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n",
        # as a proxy sends it
        b"POST http://service.example:80%b?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n",
        b"POST %b HTTP/1.0\r\nContent-Length: %d\r\n",
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ],
)
def test_a_client_that_shuts_down_its_side_is_answered(
    running: Running, golden: dict[str, Any], body: Path, head: bytes
) -> None:
    content = body.read_bytes()
    answer = raw(running, head % (PREDICT.encode(), len(content)), b"\r\n", content, shut_down=True)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert probabilities(answer.partition(b"\r\n\r\n")[2].decode()) == pytest.approx(golden["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"Host: a\r\nX: %b\r\n" % (b"x" * 70_000), b"headers: expected at most 65536 bytes"),
        (b"Host: a\r\n" + b"X: y\r\n" * 20_000, b"headers: expected at most 65536 bytes"),
        (b"Host: a\r\nHost: b\r\n", b"Host: expected once, found 2 times"),
        (b"", b"Host: expected once, found 0 times"),
        (b"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", b"expected HTTP/1.1: "),
        (b"Host: a\r\nContent-Length: %b\r\n" % (b"9" * 5000), b"expected HTTP/1.1: "),
        (b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"expected HTTP/1.1: "),
        (b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: expected chunked, found gzip, chunk"),
        (b"Host: a\r\nX: \x00\r\n", b"expected HTTP/1.1: "),
    ],
)
def test_headers_that_a_server_must_refuse_are_refused_with_a_reason(
    running: Running, lines: bytes, reason: bytes
) -> None:
    answer = raw(running, b"POST %b HTTP/1.1\r\n%b\r\n" % (PREDICT.encode(), lines))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.partition(b"\r\n\r\n")[2].startswith(reason)


def zeros(gigabytes: int, bits: int) -> bytes:
    """Compressed zeros; the block of one mebibyte is compressed once and repeated."""
    stream, block = zlib.compressobj(9, wbits=bits), bytes(1024**2)
    start = stream.compress(block) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(block) + stream.flush(zlib.Z_FULL_FLUSH)
    return start + again * (gigabytes * 1024 - 1)


def repeated(content: bytes, times: int) -> bytes:
    """Streams of gzip behind each other."""
    return gzip.compress(content) * times


@pytest.mark.parametrize(
    ("encoding", "bomb", "status"),
    [
        pytest.param("gzip", partial(zeros, BOMB_GIGABYTES, 31), 413, id="gzip"),
        pytest.param("deflate", partial(zeros, BOMB_GIGABYTES, 15), 413, id="zlib"),
        pytest.param("deflate", partial(zeros, BOMB_GIGABYTES, -15), 413, id="deflate"),
        pytest.param("gzip", partial(repeated, bytes(LARGEST_BODY - 1), 2), 413, id="two-streams"),
        pytest.param("gzip", partial(repeated, bytes(LARGEST_BODY // 1000), 1024), 413, id="a-thousand-streams"),
        pytest.param("gzip", partial(repeated, b"", LARGEST_BODY // len(gzip.compress(b""))), 400, id="empty-streams"),
    ],
)
def test_a_bomb_costs_neither_memory_nor_time(
    running: Running, encoding: str, bomb: Callable[[], bytes], status: int
) -> None:
    content = bomb()
    assert len(content) < LARGEST_BODY
    before, started = running.memory_mib(), time.monotonic()
    for _ in range(3):
        answer = httpx2.post(
            f"{running.url}{PREDICT}", content=content, headers={"Content-Encoding": encoding}, timeout=60
        )
        assert answer.status_code == status
    seconds, growth = time.monotonic() - started, running.memory_mib() - before
    print(f"{len(content) / 1e6:.1f} MB of {encoding}, 3 times: {seconds:.1f} s, memory grew by {growth:.0f} MiB")
    assert seconds < 6
    assert growth < 150


def test_thousands_of_idle_connections_are_kept_and_answered(signed: Path, tmp_path: Path) -> None:
    """Also where a shell allows 1024 open files unless more are asked for, as most do."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * CONNECTIONS:
        pytest.skip(f"this shell allows too few open files: ulimit -n {2 * CONNECTIONS}")
    running = start(signed, tmp_path / "service.log", before=("prlimit", "--nofile=1024:"), DRAIN_SECONDS="0")
    request = b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n"
    with contextlib.ExitStack() as stack:
        before = running.memory_mib()
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))
            for _ in range(CONNECTIONS)
        ]
        for connection in connections:
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        growth = running.memory_mib() - before
    print(f"{CONNECTIONS} connections: {1024 * growth / CONNECTIONS:.0f} KiB each")
    assert growth < 100
    running.process.terminate()
    assert running.process.wait(timeout=20) == 0


def test_a_pool_of_idle_connections_is_answered_after_some_seconds(running: Running, body: Path) -> None:
    """Proxies and clients keep theirs for a minute or so; uvicorn by itself closes after five seconds."""
    connections = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=20) for _ in range(60)]
    for pause in (0, 5.2):
        time.sleep(pause)
        for connection in connections:
            # sends on the open connection, and fails if the other side has closed it
            connection.request("POST", PREDICT, body.read_bytes())
            assert connection.getresponse().read()
    for connection in connections:
        connection.close()


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy that serves a service below `PREFIX`; `seen` has method, path and status of each request."""

    url: str
    seen: list[tuple[str, str, int]]


@pytest.fixture
def proxy(running: Running) -> Iterator[Proxy]:
    """The service as an ingress shows it that takes the prefix off."""
    seen: list[tuple[str, str, int]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Ask the service, if the path is below the prefix."""
            status, headers, content = 404, [("Content-Type", "text/plain")], b""
            if self.path.startswith(f"{PREFIX}/"):
                size = int(self.headers.get("Content-Length", 0))
                connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
                kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path.removeprefix(PREFIX), self.rfile.read(size), kept)
                answer = connection.getresponse()
                status, headers, content = answer.status, answer.getheaders(), answer.read()
                connection.close()
            seen.append((self.command, self.path, status))
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("connection", "content-length", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            """Ask the service."""
            self.do_GET()

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    with http_server(Handler) as address:
        yield Proxy(f"http://{address}", seen)


@pytest.fixture
def tab() -> Iterator[Tab]:
    """A tab of a browser."""
    with chromium() as browser:
        yield Tab(browser)


def wait_for(proxy: Proxy, method: str, path: str) -> int:
    """The status of a request as soon as it was seen."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        for seen_method, seen_path, status in proxy.seen:
            if (seen_method, seen_path) == (method, path):
                return status
        time.sleep(0.05)
    raise AssertionError(f"no {method} {path} among {proxy.seen}")


def test_the_page_below_a_prefix_asks_below_the_prefix_alone(proxy: Proxy, tab: Tab) -> None:
    tab.open(f"{proxy.url}{PREFIX}/")
    assert wait_for(proxy, "POST", f"{PREFIX}{PREDICT}") == 200
    assert {status for _, _, status in proxy.seen} <= {200, 304}
    tab.run("[...document.links].find((link) => link.href.endsWith('/docs')).click()")
    assert wait_for(proxy, "GET", f"{PREFIX}/openapi.json") == 200


def test_a_request_from_the_api_page_below_a_prefix_goes_below_the_prefix(proxy: Proxy, tab: Tab) -> None:
    tab.open(f"{proxy.url}{PREFIX}/docs", "document.querySelector('.opblock-summary-control')")
    for method, path in (("get", "/v2/health/ready"), ("post", "/v1/models/{name}:predict")):
        block = f".opblock-{method}:has([data-path='{path}'])"
        for button in (".opblock-summary-control", ".try-out__btn", ".btn.execute"):
            found = json.dumps(f"{block} {button}")
            tab.wait(f"Boolean(document.querySelector({found}))")
            tab.run(f"document.querySelector({found}).click()")
    assert wait_for(proxy, "GET", f"{PREFIX}/v2/health/ready") == 200
    assert wait_for(proxy, "POST", f"{PREFIX}{PREDICT}") == 200
    assert {status for _, _, status in proxy.seen} <= {200, 304}
