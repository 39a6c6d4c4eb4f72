"""The service's routes: inference in both protocols, health, metadata, the OpenAPI document and the page.

In: a loaded model and settings. Out: an ASGI application. Bad input is answered with a 4xx status and one line.
"""

import asyncio
import itertools
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import fastapi_swagger
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ontime.errors import OntimeError
from ontime.model_deployment.service.batching import Batcher, Probability, QueueFullError
from ontime.model_deployment.service.model import Matrix, Model
from ontime.model_deployment.service.openapi import openapi
from ontime.model_deployment.service.protocol import ErrorResponse, PredictResponse, Protocol, RefusedError, Rows
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.model_deployment.service.telemetry import Log, Metrics, PredictionLine, RequestLine, now

PAGES = Path(__file__).parent / "pages"
JSON, BINARY = b"application/json", b"application/octet-stream"
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
LOG_SECONDS = 0.2
TOO_SLOW = "the body came too slowly"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)

Headers = list[tuple[bytes, bytes]]
Answer = tuple[bytes, Headers]


class Service:
    """One loaded model with all that answers requests about it."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.protocol = Protocol(model, settings.max_rows)
        self.metrics = Metrics(model)
        self.log = Log()
        self.batcher = Batcher(self.protocol.matrix, self._predict, settings.max_batch_rows, settings.max_queued_rows)
        self.metrics.in_flight.set_function(lambda: self.batcher.rows)
        self.draining = False
        process = os.urandom(6).hex()
        self._ids = (f"{process}-{number}" for number in itertools.count())
        for name in settings.prediction_log_redact:
            if name not in model.encoder.features:
                raise OntimeError(f"{PREFIX}PREDICTION_LOG_REDACT: the model has no feature {name}")
        self._redacted = [self.protocol.field_of(name) for name in settings.prediction_log_redact]
        self._random = random.Random()  # noqa: S311 - a sample, not a secret
        self._flushing = False

    def _predict(self, matrix: Matrix) -> Probability:
        self.protocol.check(matrix)
        probability = self.model.probability(matrix)
        self.metrics.predictions.count(matrix, probability)
        return probability

    def next_id(self) -> str:
        """A request id of this process."""
        return next(self._ids)

    def log_predictions(self, request_id: str, rows: Rows, probability: Probability) -> None:
        """One line per row, for the share of requests that is logged."""
        share = self.settings.prediction_log_share
        if share < 1 and self._random.random() >= share:
            return
        model, time_of_line = self.model, now()
        records = rows if isinstance(rows, list) else map(self.protocol.record_of, rows.tolist())
        for record, value in zip(records, probability.tolist(), strict=True):
            for field in self._redacted:
                setattr(record, field, msgspec.UNSET)
            self.log.add(
                PredictionLine(
                    time_of_line,
                    "prediction",
                    request_id,
                    model.name,
                    model.version,
                    value,
                    value >= model.threshold,
                    record,
                )
            )
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write the log's lines within a fraction of a second."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self.log.flush()


class Inference:
    """A POST endpoint: body, rows, probabilities, answer; the same bounds and records for both protocols."""

    def __init__(
        self, service: Service, protocol: str, answer: Callable[[str, bytes, dict[bytes, bytes]], Awaitable[Answer]]
    ) -> None:
        self.service, self.protocol, self.answer = service, protocol, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; `path_params` are absent where the path is the model's own."""
        service, started = self.service, time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else service.next_id()
        extra: Headers = []
        try:
            if "path_params" in scope:
                check_model(service.model, scope["path_params"])
            body = await read_body(headers, receive, service.settings)
            content, extra = await self.answer(request_id, body, headers)
            status = 200
        except RefusedError as refused:
            status, content = refused.status, error_body(str(refused))
            if status in (408, 413):
                extra = [(b"connection", b"close")]
        except QueueFullError:
            status, content = 429, error_body("too many rows wait; try again")
            extra = [(b"retry-after", b"1")]
        except ClientGoneError:
            return
        if service.draining:
            extra = [*extra, (b"connection", b"close")]
        seconds = time.perf_counter() - started
        service.metrics.answered(self.protocol, status, seconds)
        if service.settings.access_log:
            service.log.add(
                RequestLine(now(), "request", request_id, "POST", scope["path"], status, round(seconds * 1000, 3))
            )
            service.flush_soon()
        await send_answer(send, status, content, request_id, extra)


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


async def read_body(headers: dict[bytes, bytes], receive: Receive, settings: Settings) -> bytes:
    """The whole body, within the bounds of size and time."""
    kind = headers.get(b"content-type", b"")
    if kind not in (JSON, BINARY, b"") and kind.partition(b";")[0].strip().lower() not in (JSON, BINARY):
        raise RefusedError(
            415, f"Content-Type: expected application/json or application/octet-stream, found {_text(kind)}"
        )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(415, "Content-Encoding: expected none")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > settings.max_body_bytes:
        raise _too_large(settings)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - the server runs each request as a task
    # asyncio.timeout does the same at several times the cost, which is a tenth of a request
    timer = asyncio.get_running_loop().call_later(settings.body_seconds, task.cancel, TOO_SLOW)
    try:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > settings.max_body_bytes:
                raise _too_large(settings)
    except asyncio.CancelledError as error:
        if error.args != (TOO_SLOW,):
            raise
        task.uncancel()
        raise RefusedError(408, f"body: expected within {settings.body_seconds:g} seconds") from None
    finally:
        timer.cancel()
    return body


def _too_large(settings: Settings) -> RefusedError:
    return RefusedError(413, f"body: expected at most {settings.max_body_bytes} bytes")


def check_model(model: Model, path_params: dict[str, str]) -> None:
    """Refuse another model's name or version."""
    if path_params["name"] != model.name:
        raise RefusedError(404, f"no model {path_params['name'][:80]}; this service has {model.name}")
    version = path_params.get("version")
    if version is not None and version != model.version:
        raise RefusedError(404, f"no version {version[:80]} of {model.name}; this service has {model.version}")


async def send_answer(send: Send, status: int, content: bytes, request_id: str, extra: Headers) -> None:
    """Send one whole answer; its type is JSON unless `extra` says otherwise."""
    headers = [(b"content-length", str(len(content)).encode()), (b"x-request-id", request_id.encode()), *extra]
    if not any(name == b"content-type" for name, _ in extra):
        headers.append((b"content-type", JSON))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def error_body(reason: str) -> bytes:
    """The JSON of a refusal."""
    return msgspec.json.encode(ErrorResponse(reason))


class Endpoints:
    """What each route answers."""

    def __init__(self, service: Service) -> None:
        self.service, self.model, self.protocol = service, service.model, service.protocol
        self.document = msgspec.json.encode(openapi(service.protocol, service.settings))
        self.about = msgspec.json.encode(page_content(service.model))

    async def infer(self, request_id: str, body: bytes, headers: dict[bytes, bytes]) -> Answer:
        """Open Inference Protocol."""
        header_length = headers.get(b"inference-header-content-length")
        if header_length is not None and not header_length.isdigit():
            raise RefusedError(400, f"Inference-Header-Content-Length: expected a number, found {_text(header_length)}")
        matrix, wanted = self.protocol.read_infer(body, None if header_length is None else int(header_length))
        probability = await self.service.batcher.probability(matrix)
        self.service.log_predictions(request_id, matrix, probability)
        content, blobs = self.protocol.write_infer(wanted, probability)
        if not blobs:
            return content, []
        extra = [(b"inference-header-content-length", str(len(content)).encode()), (b"content-type", BINARY)]
        return b"".join([content, *blobs]), extra

    async def predict(self, request_id: str, body: bytes, headers: dict[bytes, bytes]) -> Answer:
        """TensorFlow Serving's REST form."""
        del headers
        rows, columns = self.protocol.read_predict(body)
        probability = await self.service.batcher.probability(rows)
        self.service.log_predictions(request_id, rows, probability)
        values = probability.tolist()
        return msgspec.json.encode(PredictResponse(outputs=values) if columns else PredictResponse(values)), []

    def answer(self, content: Any, status: int = 200) -> Response:
        """JSON, and while stopping the end of the connection."""
        extra = {"connection": "close"} if self.service.draining else None
        return Response(msgspec.json.encode(content), status, extra, "application/json")

    async def live(self, _: Request) -> Response:
        """The process answers."""
        return self.answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """The model was verified and replayed before the port was opened; not ready only while stopping."""
        check_model(self.model, {"name": self.model.name, **request.path_params})
        draining = self.service.draining
        return self.answer({"name": self.model.name, "ready": not draining}, 503 if draining else 200)

    async def server_metadata(self, _: Request) -> Response:
        """Name, version and extensions."""
        return self.answer({"name": "ontime", "version": self.model.version, "extensions": ["binary_tensor_data"]})

    async def model_metadata(self, request: Request) -> Response:
        """Inputs and outputs."""
        check_model(self.model, request.path_params)
        return self.answer(metadata_of(self.model))

    async def model_status(self, request: Request) -> Response:
        """TensorFlow Serving's and KServe's status in one."""
        check_model(self.model, request.path_params)
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": self.model.version, "state": "AVAILABLE", "status": status}
        ready = not self.service.draining
        return self.answer({"name": self.model.name, "ready": ready, "model_version_status": [state]})

    async def openapi_document(self, _: Request) -> Response:
        """The OpenAPI document."""
        return Response(self.document, media_type="application/json")

    async def page_data(self, _: Request) -> Response:
        """What the page is built from."""
        return Response(self.about, media_type="application/json")

    async def refused(self, _: Request, error: Exception) -> Response:
        """A refusal outside the inference routes."""
        assert isinstance(error, RefusedError)  # noqa: S101 - Starlette's handlers are typed by their widest use
        return self.answer(ErrorResponse(str(error)), error.status)

    async def http_error(self, _: Request, error: Exception) -> Response:
        """No such route or method."""
        assert isinstance(error, HTTPException)  # noqa: S101 - see above
        response = self.answer(ErrorResponse(error.detail), error.status_code)
        response.headers.update(error.headers or {})
        return response


def page(name: str) -> Callable[[Request], Awaitable[Response]]:
    """A route for a page that loads nothing from elsewhere."""
    text = (PAGES / name).read_text(encoding="utf-8")
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"}

    async def endpoint(_: Request) -> Response:
        return HTMLResponse(text, headers=headers)

    return endpoint


class Application(Starlette):
    """Starlette, which first looks an inference request's path up before it compares it with every route."""

    inference: Mapping[str, Inference]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = self.inference.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (endpoint or super().__call__)(scope, receive, send)


def make_app(service: Service) -> Starlette:
    """All routes of the service."""
    get = Endpoints(service)
    infer, predict = Inference(service, "v2", get.infer), Inference(service, "v1", get.predict)
    v1, v2 = "/v1/models/{name}", "/v2/models/{name}"
    v1_version, v2_version = f"{v1}/versions/{{version}}", f"{v2}/versions/{{version}}"
    app = Application(
        routes=[
            *(Route(f"{path}/infer", infer, methods=["POST"]) for path in (v2, v2_version)),
            *(Route(f"{path}:predict", predict, methods=["POST"]) for path in (v1, v1_version)),
            Route("/v2/health/live", get.live),
            Route("/v2/health/ready", get.ready),
            Route("/v2", get.server_metadata),
            *(Route(f"{path}/ready", get.ready) for path in (v2, v2_version)),
            *(Route(path, get.model_metadata) for path in (v2, v2_version)),
            *(Route(path, get.model_status) for path in (v1, v1_version)),
            Route("/openapi.json", get.openapi_document),
            Route("/page.json", get.page_data),
            Route("/", page("index.html")),
            Route("/docs", page("docs.html")),
            Mount("/docs/assets", StaticFiles(directory=Path(fastapi_swagger.__file__).parent / "resources")),
            Mount("/static", StaticFiles(directory=PAGES)),
        ],
        exception_handlers={RefusedError: get.refused, HTTPException: get.http_error},
    )
    name = service.model.name
    app.inference = {f"/v2/models/{name}/infer": infer, f"/v1/models/{name}:predict": predict}
    return app


def metadata_of(model: Model) -> dict[str, Any]:
    """Version 2 metadata: a tensor per feature in, probability and decision out."""
    inputs = [
        {"name": feature["name"], "datatype": "FP32" if feature["type"] == "number" else "BYTES", "shape": [-1]}
        for feature in model.manifest["features"]
    ]
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": [
            {"name": "probability", "datatype": "FP32", "shape": [-1]},
            {"name": "decision", "datatype": "BOOL", "shape": [-1]},
        ],
    }


def page_content(model: Model) -> dict[str, Any]:
    """What the page needs: features with their typical and known values, and the threshold."""
    features = [
        {**feature, "values": list(model.encoder.categories.get(feature["name"], ()))}
        for feature in model.manifest["features"]
    ]
    return {
        "name": model.name,
        "version": model.version,
        "git_commit": model.git_commit,
        "threshold": model.threshold,
        "features": features,
        "page_features": model.manifest["page_features"],
    }


def _text(value: bytes) -> str:
    return value[:80].decode("latin-1")
