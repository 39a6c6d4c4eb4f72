"""OpenTelemetry spans of requests, sent by the SDK in the background; imported only when they are asked for.

Where spans are sent, how they are sampled and what the service is called, the SDK reads from its own variables:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import contextlib
import logging
from collections.abc import Iterator
from http import HTTPStatus
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import Span, SpanKind, StatusCode, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.routes import Application
from ontime.model_deployment.service.trace_context import OWN_SPAN, ROWS, TRACEPARENT, TRACESTATE, Trace, caller_of

LOGGER = logging.getLogger(__name__)
SERVICE = "ontime"
MODEL_NAME, MODEL_VERSION, MODEL_ROWS = "ontime.model.name", "ontime.model.version", "ontime.rows"
"""Attributes of a span whose request has been predicted."""
PROBES = "/v2/health/"
"""What the cluster asks every second or two; it gets no span."""
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
CLOSE_SECONDS = 2
"""How long the end of the service waits for a collector to take the last spans."""


def make_provider(model: Champion) -> TracerProvider:
    """The SDK, which exports from a thread of its own.

    Raises:
        OntimeError: the SDK refuses one of its variables.
    """
    named = {SERVICE_NAME: SERVICE, SERVICE_VERSION: model.version}
    given = OTELResourceDetector().detect().attributes
    try:
        provider = TracerProvider(resource=Resource.create({**named, **given}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise OntimeError(f"OTEL_…: {' '.join(str(error).split())}") from None
    return provider


def shut_down(provider: TracerProvider) -> None:
    """Send what waits, but do not wait for a collector that does not answer."""
    thread = Thread(target=provider.shutdown, name="last spans", daemon=True)
    thread.start()
    thread.join(CLOSE_SECONDS)


@contextlib.contextmanager
def beside_the_answer() -> Iterator[None]:
    """Log a failure of the block instead of raising it: a span must not cost a client its answer."""
    try:
        yield
    except Exception:
        LOGGER.exception("a span was not recorded")


class TracedApplication:
    """An application whose requests have a span each, the child of the caller's where there is one."""

    def __init__(self, app: Application, provider: TracerProvider, model: Champion) -> None:
        self.app, self.model = app, model
        self.tracer = provider.get_tracer(__name__)
        # the application finds these paths without its routes, of which the first that matches counts
        self.route_of_path = {
            path: route.path
            for path in app.inference
            for route in reversed(app.routes)
            if isinstance(route, Route) and route.path_regex.match(path)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        span: Span | None = None
        if scope["type"] == "http" and not scope["path"].startswith(PROBES):
            with beside_the_answer():
                span = self._start(scope)
        if span is None:
            await self.app(scope, receive, send)
            return
        status = 0

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        finally:
            with beside_the_answer():
                self._end(span, scope, status)

    def _start(self, scope: Scope) -> Span:
        span = self.tracer.start_span(
            method_of(scope) or "HTTP", parent_of(scope), SpanKind.SERVER, request_attributes(scope)
        )
        own = span.get_span_context()
        scope[OWN_SPAN] = Trace(format_trace_id(own.trace_id), format_span_id(own.span_id))
        return span

    def _end(self, span: Span, scope: Scope, status: int) -> None:
        try:
            route = getattr(scope.get("route"), "path", None) or self.route_of_path.get(scope["path"])
            if route:
                span.set_attribute(HTTP_ROUTE, route)
                span.update_name(f"{method_of(scope) or 'HTTP'} {route}")
            if status:
                span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_attribute(ERROR_TYPE, str(status))
                span.set_status(StatusCode.ERROR)
            if ROWS in scope:
                span.set_attribute(MODEL_NAME, self.model.name)
                span.set_attribute(MODEL_VERSION, self.model.version)
                span.set_attribute(MODEL_ROWS, scope[ROWS])
        finally:
            span.end()


def parent_of(scope: Scope) -> Context:
    """The caller's span as the SDK takes it; an empty context starts a trace."""
    if caller_of(scope["headers"]) is None:
        return Context()
    carrier: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name in (TRACEPARENT, TRACESTATE):
            carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return TraceContextTextMapPropagator().extract(carrier, Context())


def method_of(scope: Scope) -> str | None:
    """The method, None if it is not one that the semantic conventions know."""
    return scope["method"] if scope["method"] in METHODS else None


def request_attributes(scope: Scope) -> dict[str, str | int]:
    """What a span says of its request, by the semantic conventions for an HTTP server."""
    headers, method = dict(scope["headers"]), method_of(scope)
    attributes: dict[str, str | int] = {
        HTTP_REQUEST_METHOD: method or "_OTHER",
        URL_SCHEME: scope["scheme"],
        URL_PATH: scope["path"],
        NETWORK_PROTOCOL_VERSION: scope["http_version"],
    }
    if method is None:
        attributes[HTTP_REQUEST_METHOD_ORIGINAL] = scope["method"]
    if scope["query_string"]:
        attributes[URL_QUERY] = scope["query_string"].decode("latin-1")
    if scope["server"]:
        attributes[SERVER_ADDRESS], attributes[SERVER_PORT] = scope["server"]
    if scope["client"]:
        attributes[CLIENT_ADDRESS] = scope["client"][0]
    if b"user-agent" in headers:
        attributes[USER_AGENT_ORIGINAL] = headers[b"user-agent"].decode("latin-1")
    return attributes
