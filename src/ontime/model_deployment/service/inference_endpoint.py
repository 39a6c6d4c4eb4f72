"""The endpoint of `:predict` and `/infer`: a POST body in, the model's probabilities out, for either protocol."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from ontime.model_deployment.inference.champion import Probability
from ontime.model_deployment.inference.prediction_log import RequestLine
from ontime.model_deployment.service.batching import QueueFullError
from ontime.model_deployment.service.protocol.messages import (
    JSON_HEADERS,
    ClientError,
    Headers,
    RequestHeaders,
    Rows,
    error_body,
)
from ontime.model_deployment.service.request_body import (
    ClientDisconnectedError,
    check_headers,
    check_model,
    check_size,
    read_body,
)
from ontime.model_deployment.service.service import Service

LOGGER = logging.getLogger("uvicorn.error")
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class Reply(NamedTuple):
    """A whole response: status, content and headers."""

    status: int
    content: bytes
    headers: Headers


SendReply = Callable[[Reply], None]


class PendingRequest(NamedTuple):
    """A queued inference request; `requested` tells its protocol how to write the response."""

    path: str
    request_id: str
    started: float
    rows: Rows
    requested: Any
    send: SendReply


class InferenceEndpoint:
    """An ASGI endpoint with the same limits, metrics and log for both protocols.

    `read` makes rows of a body and its headers, and says how the client wants the response; `write` makes content and
    headers of that and the probabilities.
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
        """Answer one request, whose body may still be arriving."""
        headers, started = dict(scope["headers"]), time.perf_counter()
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            check_model(self.service.model, scope["path_params"])
            check_headers(headers, self.service.settings)
            body = await read_body(receive, self.service.settings)
        except ClientDisconnectedError:
            return
        except ClientError as error:
            self._finish(scope["path"], self._request_id(headers), started, error_reply(error), reply.set_result)
        else:
            self.begin(scope["path"], headers, body, reply.set_result, started)
        await send_reply(send, await reply)

    def begin(
        self,
        path: str,
        headers: RequestHeaders,
        body: bytes,
        send: SendReply,
        started: float | None = None,
    ) -> None:
        """Queue a whole request for the model; `send` is called with its reply, at once or later."""
        started = time.perf_counter() if started is None else started
        request_id = self._request_id(headers)
        try:
            check_headers(headers, self.service.settings)
            check_size(len(body), self.service.settings)
            rows, requested = self.read(body, headers)
            pending = PendingRequest(path, request_id, started, rows, requested, send)
            self.service.submit(rows, requested, partial(self._complete, pending))
        except Exception as error:  # every client gets a reply
            self._finish(path, request_id, started, error_reply(error), send)

    def _complete(self, pending: PendingRequest, result: Probability | BaseException) -> None:
        try:
            if isinstance(result, BaseException):
                raise result
            self.service.log_predictions(pending.request_id, pending.rows, result)
            reply = Reply(200, *self.write(pending.requested, result))
        except Exception as error:  # every client gets a reply
            reply = error_reply(error)
        self._finish(pending.path, pending.request_id, pending.started, reply, pending.send)

    def _finish(self, path: str, request_id: str, started: float, reply: Reply, send: SendReply) -> None:
        """Count, log and send a reply."""
        service, seconds = self.service, time.perf_counter() - started
        service.metrics.responses.add(self.protocol, reply.status, seconds)
        if service.settings.access_log:
            service.log.add(
                RequestLine(time.time_ns(), "request", request_id, "POST", path, reply.status, round(seconds * 1000, 3))
            )
        headers = [
            (b"content-length", b"%d" % len(reply.content)),
            (b"x-request-id", request_id.encode()),
            *reply.headers,
        ]
        if service.draining:
            headers.append((b"connection", b"close"))
        send(Reply(reply.status, reply.content, headers))

    def _request_id(self, headers: RequestHeaders) -> str:
        given = headers.get(b"x-request-id", b"")
        return given.decode() if REQUEST_ID.fullmatch(given) else self.service.next_id()


def error_reply(error: Exception) -> Reply:
    """The reply for an error; one that is not the client's fault is logged with its traceback."""
    if isinstance(error, ClientError):
        closing = [(b"connection", b"close")] if error.status in (408, 413) else []
        return Reply(error.status, error_body(str(error)), [*JSON_HEADERS, *closing])
    if isinstance(error, QueueFullError):
        return Reply(429, error_body("the queue is full; try again later"), [*JSON_HEADERS, (b"retry-after", b"1")])
    LOGGER.error("a request failed", exc_info=error)
    return Reply(500, error_body("internal error"), JSON_HEADERS)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send one whole response."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.content})
