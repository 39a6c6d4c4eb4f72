"""A request's span says what OpenTelemetry's conventions ask for, and no answer depends on it."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from starlette.testclient import TestClient

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service import tracing
from ontime.model_deployment.service.log import OnceAMinute
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.tracing import TracedApplication, make_provider, shut_down
from tests.services import log_lines

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(model: Champion, service: Service, exporter: InMemorySpanExporter) -> TestClient:
    """A client of the service, whose spans the exporter keeps."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return TestClient(TracedApplication(make_app(service), provider, model), raise_server_exceptions=False)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_span_is_the_child_of_its_caller_and_names_request_model_and_rows(
    traced: TestClient,
    service: Service,
    exporter: InMemorySpanExporter,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "a=1,b=2", "user-agent": "a client"}
    answer = traced.post(f"{PREDICT}?a=b", json={"instances": golden["records"][:3]}, headers=headers)
    assert answer.json()["predictions"] == pytest.approx(golden["probabilities"][:3], abs=1e-5)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("POST /v1/models/{name}:predict", SpanKind.SERVER)
    assert span.parent
    assert (format_trace_id(span.parent.trace_id), format_span_id(span.parent.span_id)) == (TRACE_ID, SPAN_ID)
    assert span.parent.is_remote
    assert dict(span.context.trace_state) == {"a": "1", "b": "2"}
    assert attributes(span) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": PREDICT,
        "url.query": "a=b",
        "network.protocol.version": "1.1",
        "server.address": "testserver",
        "server.port": 80,
        "client.address": "testclient",
        "user_agent.original": "a client",
        "http.route": "/v1/models/{name}:predict",
        "http.response.status_code": 200,
        "ontime.model.name": "parcels",
        "ontime.model.version": "1.2.3",
        "ontime.rows": 3,
    }
    service.log.flush()
    printed = capfd.readouterr().out
    own = {(TRACE_ID, format_span_id(span.context.span_id))}
    for event in ("request", "prediction"):
        assert {(line["trace_id"], line["span_id"]) for line in log_lines(printed, event)} == own


@pytest.mark.parametrize("header", [None, "wrong", f"00-{'0' * 32}-{SPAN_ID}-01"])
def test_a_request_without_a_valid_caller_starts_a_trace(
    traced: TestClient, exporter: InMemorySpanExporter, golden: dict[str, Any], header: str | None
) -> None:
    headers = {"traceparent": header} if header else {}
    for _ in range(2):
        traced.post(PREDICT, json={"instances": golden["records"][:1]}, headers=headers)
    spans = exporter.get_finished_spans()
    assert [span.parent for span in spans] == [None, None]
    assert len({span.context.trace_id for span in spans}) == 2


def test_a_caller_that_is_not_recorded_is_followed_in_the_log_alone(
    traced: TestClient, service: Service, exporter: InMemorySpanExporter, capfd: pytest.CaptureFixture[str]
) -> None:
    traced.post(PREDICT, json={}, headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
    assert exporter.get_finished_spans() == ()
    service.log.flush()
    (line,) = log_lines(capfd.readouterr().out, "request")
    assert line["trace_id"] == TRACE_ID
    assert line["span_id"] != SPAN_ID


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("POST", INFER, "POST /v2/models/{name}/infer", 400),
        ("POST", "/v2/models/parcels/versions/1/infer", "POST /v2/models/{name}/versions/{version}/infer", 404),
        ("GET", "/v2/models/parcels", "GET /v2/models/{name}", 200),
        ("GET", INFER, "GET /v2/models/{name}/infer", 405),
        ("GET", "/nothing/7", "GET", 404),
        ("BREW", "/nothing", "HTTP", 404),
    ],
)
def test_a_span_is_named_by_its_route(
    traced: TestClient, exporter: InMemorySpanExporter, method: str, path: str, name: str, status: int
) -> None:
    assert traced.request(method, path, content=b"{}" if method == "POST" else None).status_code == status
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.status.status_code) == (name, StatusCode.UNSET)
    found = attributes(span)
    assert found["http.response.status_code"] == status
    assert found["http.request.method"] == ("_OTHER" if method == "BREW" else method)
    assert found.get("http.request.method_original") == ("BREW" if method == "BREW" else None)
    assert "ontime.rows" not in found


def test_an_error_of_the_service_is_an_error_of_its_span(
    traced: TestClient,
    service: Service,
    exporter: InMemorySpanExporter,
    golden: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service.batcher, "predict", None)
    assert traced.post(PREDICT, json={"instances": golden["records"][:1]}).status_code == 500
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code == StatusCode.ERROR
    assert attributes(span)["error.type"] == "500"


def test_probes_have_no_span(traced: TestClient, exporter: InMemorySpanExporter) -> None:
    assert traced.get("/v2/health/ready").status_code == 200
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("part", ["request_attributes", "format_trace_id", "StatusCode", "parent_of"])
def test_a_span_that_fails_costs_no_answer(
    traced: TestClient,
    service: Service,
    golden: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no span")

    monkeypatch.setattr(tracing, part, fail)
    answer = traced.post(PREDICT, json={"instances": golden["records"]})
    assert answer.json()["predictions"] == pytest.approx(golden["probabilities"], abs=1e-5)
    monkeypatch.setattr(service.batcher, "predict", None)
    assert traced.post(PREDICT, json={"instances": golden["records"]}).status_code == 500
    (told, *_) = (record.name for record in caplog.records if "span" in record.getMessage())
    assert told.startswith(OnceAMinute.SELDOM)


def test_the_environment_names_the_service(model: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("", "ontime"), ("late-parcels", "late-parcels")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
        provider = make_provider(model)
        found = provider.resource.attributes
        assert found["service.name"] == value
        assert (found["service.version"], found["deployment.environment.name"]) == ("1.2.3", "staging")
        shut_down(provider)


def test_the_environment_says_how_many_spans_are_recorded(model: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    for share in ("0", "1"):
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", share)
        provider = make_provider(model)
        assert provider.get_tracer("a").start_span("b").is_recording() == (share == "1")
        shut_down(provider)


def test_a_variable_that_the_sdk_refuses_is_one_line(model: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999")
    with pytest.raises(OntimeError, match=r"^OTEL_…: max_export_batch_size must be less than or equal to max_queue"):
        make_provider(model)
