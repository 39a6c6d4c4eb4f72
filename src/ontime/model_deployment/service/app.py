"""The service's routes: inference in both protocols, health, metadata, the OpenAPI document and the page.

In: a loaded model and settings. Out: an ASGI application. Bad input is answered with a 4xx status and one line.
"""

import asyncio
import itertools
import logging
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fastapi_swagger
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion, Probability
from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine
from ontime.model_deployment.service.batching import Batcher, QueueFullError
from ontime.model_deployment.service.openapi import openapi
from ontime.model_deployment.service.protocol import (
    ErrorResponse,
    PredictResponse,
    Protocol,
    RefusedError,
    Rows,
    Wanted,
)
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.model_deployment.service.telemetry import Log, Metrics, Predicted, text_of

PAGES = Path(__file__).parent / "pages"
JSON, BINARY = b"application/json", b"application/octet-stream"
JSON_HEADERS = [(b"content-type", JSON)]
LOGGER = logging.getLogger("uvicorn.error")
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
TOO_SLOW = "the body came too slowly"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)

Headers = list[tuple[bytes, bytes]]
RequestHeaders = dict[bytes, bytes]


class Reply(NamedTuple):
    """A whole response: status, content and headers."""

    status: int
    content: bytes
    headers: Headers


class Asked(NamedTuple):
    """An inference request whose rows are read."""

    path: str
    request_id: str
    started: float
    rows: Rows
    wanted: Any
    reply: Callable[[Reply], None]


class Service:
    """One loaded model with all that answers requests about it."""

    def __init__(self, model: Champion, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.protocol = Protocol(model, settings.max_rows)
        self.metrics = Metrics(model)
        self.log = Log(self.prediction_lines)
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
        if share == 1 or self._random.random() < share:
            self.log.add(Predicted(time.time_ns(), request_id, rows, probability))

    def prediction_lines(self, predicted: Predicted) -> Iterator[PredictionLine]:
        """What the log says of a request's rows."""
        model, rows, time_of_lines = self.model, predicted.rows, text_of(predicted.time)
        records = rows if isinstance(rows, list) else map(self.protocol.record_of, rows.tolist())
        for record, value in zip(records, predicted.probability.tolist(), strict=True):
            for field in self._redacted:
                setattr(record, field, msgspec.UNSET)
            yield PredictionLine(
                time_of_lines,
                "prediction",
                predicted.request_id,
                model.name,
                model.version,
                value,
                value >= model.threshold,
                record,
            )


class Inference:
    """A POST endpoint: body, rows, probabilities, answer; the same bounds and records for both protocols.

    `read` makes rows of body and headers, and says how the answer is wanted; `write` makes content and headers of it.
    """

    def __init__(
        self,
        service: Service,
        protocol: str,
        read: Callable[[bytes, RequestHeaders], tuple[Rows, Any]],
        write: Callable[[Any, Probability], tuple[bytes, Headers]],
    ) -> None:
        self.service, self.protocol, self.read, self.write = service, protocol, read, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request whose body may be still to come."""
        headers, started = dict(scope["headers"]), time.perf_counter()
        replied: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            check_model(self.service.model, scope["path_params"])
            check_headers(headers, self.service.settings)
            body = await read_body(receive, self.service.settings)
        except ClientGoneError:
            return
        except RefusedError as refused:
            self._reply(scope["path"], self._request_id(headers), started, _refusal(refused), replied.set_result)
        else:
            self.begin(scope["path"], headers, body, replied.set_result, started)
        await send_reply(send, await replied)

    def begin(
        self,
        path: str,
        headers: RequestHeaders,
        body: bytes,
        reply: Callable[[Reply], None],
        started: float | None = None,
    ) -> None:
        """Take a whole request for the model; `reply` is called with its answer, soon or at once."""
        started = time.perf_counter() if started is None else started
        request_id = self._request_id(headers)
        try:
            check_headers(headers, self.service.settings)
            check_size(len(body), self.service.settings)
            rows, wanted = self.read(body, headers)
            asked = Asked(path, request_id, started, rows, wanted, reply)
            self.service.batcher.submit(rows, partial(self._finish, asked))
        except Exception as error:  # every client gets an answer
            self._reply(path, request_id, started, _refusal(error), reply)

    def _finish(self, asked: Asked, found: Probability | BaseException) -> None:
        try:
            if isinstance(found, BaseException):
                raise found
            self.service.log_predictions(asked.request_id, asked.rows, found)
            answer = Reply(200, *self.write(asked.wanted, found))
        except Exception as error:  # see above
            answer = _refusal(error)
        self._reply(asked.path, asked.request_id, asked.started, answer, asked.reply)

    def _reply(self, path: str, request_id: str, started: float, answer: Reply, reply: Callable[[Reply], None]) -> None:
        service, seconds = self.service, time.perf_counter() - started
        service.metrics.answers.add(self.protocol, answer.status, seconds)
        if service.settings.access_log:
            service.log.add(
                RequestLine(
                    time.time_ns(), "request", request_id, "POST", path, answer.status, round(seconds * 1000, 3)
                )
            )
        headers = [
            (b"content-length", b"%d" % len(answer.content)),
            (b"x-request-id", request_id.encode()),
            *answer.headers,
        ]
        if service.draining:
            headers.append((b"connection", b"close"))
        reply(Reply(answer.status, answer.content, headers))

    def _request_id(self, headers: RequestHeaders) -> str:
        given = headers.get(b"x-request-id", b"")
        return given.decode() if REQUEST_ID.fullmatch(given) else self.service.next_id()


def _refusal(error: Exception) -> Reply:
    """What a client is told of an error; one that is not the client's is the log's as well."""
    if isinstance(error, RefusedError):
        closing = [(b"connection", b"close")] if error.status in (408, 413) else []
        return Reply(error.status, error_body(str(error)), [*JSON_HEADERS, *closing])
    if isinstance(error, QueueFullError):
        return Reply(429, error_body("too many rows wait; try again"), [*JSON_HEADERS, (b"retry-after", b"1")])
    LOGGER.error("a request failed", exc_info=error)
    return Reply(500, error_body("internal error"), JSON_HEADERS)


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


def check_headers(headers: RequestHeaders, settings: Settings) -> None:
    """Refuse a body by what is said of it."""
    kind = headers.get(b"content-type", b"")
    if kind not in (JSON, BINARY, b"") and kind.partition(b";")[0].strip().lower() not in (JSON, BINARY):
        raise RefusedError(
            415, f"Content-Type: expected application/json or application/octet-stream, found {_text(kind)}"
        )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(415, "Content-Encoding: expected none")
    length = headers.get(b"content-length", b"0")
    if length.isdigit():
        check_size(int(length), settings)


def check_size(size: int, settings: Settings) -> None:
    """Refuse a body that is too large."""
    if size > settings.max_body_bytes:
        raise RefusedError(413, f"body: expected at most {settings.max_body_bytes} bytes")


async def read_body(receive: Receive, settings: Settings) -> bytes:
    """The whole body, within the bounds of size and time."""
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
            check_size(len(body), settings)
    except asyncio.CancelledError as error:
        if error.args != (TOO_SLOW,):
            raise
        task.uncancel()
        raise RefusedError(408, f"body: expected within {settings.body_seconds:g} seconds") from None
    finally:
        timer.cancel()
    return body


def check_model(model: Champion, path_params: dict[str, str]) -> None:
    """Refuse another model's name or version."""
    if path_params["name"] != model.name:
        raise RefusedError(404, f"no model {path_params['name'][:80]}; this service has {model.name}")
    version = path_params.get("version")
    if version is not None and version != model.version:
        raise RefusedError(404, f"no version {version[:80]} of {model.name}; this service has {model.version}")


async def send_reply(send: Send, reply: Reply) -> None:
    """Send one whole answer."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.content})


def error_body(reason: str) -> bytes:
    """The JSON of a refusal."""
    return msgspec.json.encode(ErrorResponse(reason))


class Endpoints:
    """What each route answers."""

    def __init__(self, service: Service) -> None:
        self.service, self.model, self.protocol = service, service.model, service.protocol
        self.document = msgspec.json.encode(openapi(service.protocol, service.settings))
        self.about = msgspec.json.encode(page_content(service.model))

    def read_infer(self, body: bytes, headers: RequestHeaders) -> tuple[Rows, Wanted]:
        """Open Inference Protocol."""
        header_length = headers.get(b"inference-header-content-length")
        if header_length is not None and not header_length.isdigit():
            raise RefusedError(400, f"Inference-Header-Content-Length: expected a number, found {_text(header_length)}")
        return self.protocol.read_infer(body, None if header_length is None else int(header_length))

    def write_infer(self, wanted: Wanted, probability: Probability) -> tuple[bytes, Headers]:
        """JSON, or JSON with binary tensors behind it."""
        content, blobs = self.protocol.write_infer(wanted, probability)
        if not blobs:
            return content, JSON_HEADERS
        headers = [(b"inference-header-content-length", b"%d" % len(content)), (b"content-type", BINARY)]
        return b"".join([content, *blobs]), headers

    def read_predict(self, body: bytes, headers: RequestHeaders) -> tuple[Rows, bool]:
        """TensorFlow Serving's REST form."""
        del headers
        return self.protocol.read_predict(body)

    def write_predict(self, columns: bool, probability: Probability) -> tuple[bytes, Headers]:
        """Predictions by row, or outputs where columns came."""
        values = probability.tolist()
        answer = PredictResponse(outputs=values) if columns else PredictResponse(values)
        return msgspec.json.encode(answer), JSON_HEADERS

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
    """All routes, and by path the inference endpoints of the model's own, which `InferenceProtocol` asks itself."""

    inference: Mapping[str, Inference]


def make_app(service: Service) -> Starlette:
    """All routes of the service."""
    get = Endpoints(service)
    infer = Inference(service, "v2", get.read_infer, get.write_infer)
    predict = Inference(service, "v1", get.read_predict, get.write_predict)
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


def metadata_of(model: Champion) -> dict[str, Any]:
    """Version 2 metadata: a tensor per feature in, probability and decision out."""
    inputs = [
        {"name": feature.name, "datatype": "FP32" if feature.type == "number" else "BYTES", "shape": [-1]}
        for feature in model.manifest.features
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


def page_content(model: Champion) -> dict[str, Any]:
    """What the page needs: features with their typical and known values, and the threshold."""
    features = [
        {**feature.model_dump(), "values": list(model.encoder.categories.get(feature.name, ()))}
        for feature in model.manifest.features
    ]
    return {
        "name": model.name,
        "version": model.version,
        "git_commit": model.git_commit,
        "threshold": model.threshold,
        "features": features,
        "page_features": model.manifest.page_features,
    }


def _text(value: bytes) -> str:
    return value[:80].decode("latin-1")
