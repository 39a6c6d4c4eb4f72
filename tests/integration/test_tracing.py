"""Spans of a real process, as a collector gets them over OTLP, and a service whose collector does not answer."""

import contextlib
import queue
import signal
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ontime.common.files import read_json
from tests.servers import free_port, http_server
from tests.services import Running, log_lines, start

pytestmark = pytest.mark.integration
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PREDICT = "/v1/models/parcels:predict"
SOON = "100"
"""Milliseconds after which spans are sent."""


class Collector(BaseHTTPRequestHandler):
    """Keeps what is exported to it."""

    received: "queue.Queue[tuple[str, str, ExportTraceServiceRequest]]" = queue.Queue()

    def do_POST(self) -> None:
        """Take one export."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.put((self.path, self.headers["Content-Type"], ExportTraceServiceRequest.FromString(content)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def golden(signed: Path) -> dict[str, Any]:
    """Records and their probabilities."""
    content: dict[str, Any] = read_json(signed / "model" / "golden.json")
    return content


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables that turn spans on; a test adds where they go."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", SOON)
    return monkeypatch


def values(attributes: Any) -> dict[str, Any]:
    """Attributes of the protocol by name."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def stop(running: Running) -> float:
    """Seconds from SIGTERM to the end."""
    started = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=30) == 0
    return time.monotonic() - started


def test_a_collector_gets_a_span_that_is_the_child_of_the_caller(
    signed: Path, golden: dict[str, Any], tmp_path: Path, traced: pytest.MonkeyPatch
) -> None:
    traced.setenv("OTEL_SERVICE_NAME", "late-parcels")
    with http_server(Collector) as address:
        traced.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{address}")
        running = start(signed, tmp_path / "service.log", DRAIN_SECONDS="0")
        body = {"instances": golden["records"][:3]}
        headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
        answer = httpx2.post(f"{running.url}{PREDICT}", json=body, headers=headers)
        assert answer.json()["predictions"] == pytest.approx(golden["probabilities"][:3], abs=1e-6)
        path, content_type, export = Collector.received.get(timeout=20)
        # the last spans are sent at the end
        httpx2.post(f"{running.url}{PREDICT}", json={})
        stop(running)
        _, _, last = Collector.received.get(timeout=20)
    assert (path, content_type) == ("/v1/traces", "application/x-protobuf")
    (resource,) = export.resource_spans
    assert values(resource.resource.attributes)["service.name"] == "late-parcels"
    assert values(resource.resource.attributes)["service.version"] == "1.2.3"
    (span,) = resource.scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert (span.name, span.kind) == ("POST /v1/models/{name}:predict", span.SPAN_KIND_SERVER)
    found = values(span.attributes)
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/models/{name}:predict",
        "http.response.status_code": 200,
        "url.path": PREDICT,
        "server.address": "127.0.0.1",
        "server.port": running.port,
        "ontime.model.name": "parcels",
        "ontime.model.version": "1.2.3",
        "ontime.rows": 3,
    }
    assert {name: found[name] for name in expected} == expected
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert values(last.resource_spans[0].scope_spans[0].spans[0].attributes)["http.response.status_code"] == 400
    lines = log_lines(running.log.read_text(), "prediction")
    assert {(line["trace_id"], line["span_id"]) for line in lines} == {(TRACE_ID, span.span_id.hex())}
    assert len(lines) == 3


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_a_collector_that_does_not_answer_costs_neither_answers_nor_the_stop(
    signed: Path, golden: dict[str, Any], tmp_path: Path, traced: pytest.MonkeyPatch, kind: str
) -> None:
    with contextlib.ExitStack() as stack:
        port = free_port() if kind == "refuses" else stack.enter_context(silent_server())
        traced.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        traced.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        traced.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
        traced.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
        running = start(signed, tmp_path / "service.log", DRAIN_SECONDS="0", PREDICTION_LOG_SHARE="0")
        body = {"instances": golden["records"][:1]}
        end, answered = time.monotonic() + 6, 0
        with httpx2.Client(base_url=running.url, timeout=1) as client:
            while time.monotonic() < end:
                assert client.post(PREDICT, json=body).status_code == 200
                answered += 1
        seconds = stop(running)
    assert answered > 500
    assert seconds < 6
    printed = running.log.read_text()
    assert len(log_lines(printed, "request")) == answered
    others = [line for line in printed.splitlines() if '"event":"request"' not in line]
    print(f"{answered} answers, stopped in {seconds:.1f} s, {len(others)} other lines: {others}")
    assert 2 <= len(others) <= 6
    assert "opentelemetry.exporter" in printed


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none, found 'zipkin'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf, found 'grpc'"),
    ],
)
def test_what_the_service_cannot_export_by_is_told(
    signed: Path, tmp_path: Path, traced: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    traced.setenv(name, value)
    with pytest.raises(AssertionError, match=f"did not start: error: {name}: {reason}"):
        start(signed, tmp_path / "service.log")


@pytest.mark.parametrize("changes", [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_nothing_of_the_sdk_is_loaded_while_spans_are_off(
    signed: Path, tmp_path: Path, traced: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    if not changes:
        traced.delenv("OTEL_TRACES_EXPORTER")
    for name, value in changes.items():
        traced.setenv(name, value)
    traced.setenv("PYTHONVERBOSE", "1")
    running = start(signed, tmp_path / "service.log", DRAIN_SECONDS="0")
    stop(running)
    printed = running.log.read_text()
    assert "import 'ontime.model_deployment.service.trace_context'" in printed
    assert "import 'opentelemetry.sdk" not in printed
