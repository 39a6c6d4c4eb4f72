"""The endpoint of `:predict` and `/infer`: a POST body in, the model's answers out, for either protocol."""

import contextlib
import logging
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.inference.prediction_log import RequestLine
from ontime.model_deployment.service.protocol.messages import (
    JSON_HEADERS,
    ClientError,
    Headers,
    Keys,
    RequestHeaders,
    Rows,
    error_body,
)
from ontime.model_deployment.service.request_body import (
    ClientDisconnectedError,
    check_headers,
    check_model,
    decompress,
    read_body,
)
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.trace_context import ROWS, Trace, trace_of

LOGGER = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
POST = "POST"


class Reply(NamedTuple):
    """A response: status, content and the headers that say what the content is."""

    status: int
    content: bytes
    headers: Headers


INTERNAL_ERROR = Reply(500, error_body("internal error"), JSON_HEADERS)


class InferenceEndpoint:
    """An ASGI endpoint with the same limits, metrics and log for both protocols.

    `read` makes rows of a body and its headers, and says how the client wants the response and what it calls the rows;
    `write` makes content and headers of the second and what the model says.
    """

    def __init__(
        self,
        service: Service,
        protocol: str,
        read: Callable[[bytes, RequestHeaders], tuple[Rows, Any, Keys]],
        write: Callable[[Any, Outputs], tuple[bytes, Headers]],
    ) -> None:
        self.service, self.protocol, self.read, self.write = service, protocol, read, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then log and count it."""
        started = time.perf_counter()
        headers, predicted = dict(scope["headers"]), None
        request_id = self._request_id(headers)
        try:
            check_model(self.service.model, scope["path_params"])
            rows, requested, keys = self.read(await self._body(headers, receive), headers)
            outputs = await self.service.outputs(rows, requested)
            reply = Reply(200, *self.write(requested, outputs))
            predicted = rows, outputs, keys
        except ClientDisconnectedError:
            return
        except Exception as error:  # every client gets a reply
            reply = error_reply(error)
        await self._send(send, request_id, reply)
        try:
            trace = trace_of(scope)
            if predicted is not None:
                scope[ROWS] = len(predicted[0])
                self.service.log_predictions(request_id, trace, *predicted)
            self._record(scope["path"], request_id, trace, reply.status, time.perf_counter() - started)
        except Exception:  # the client has its answer
            LOGGER.exception("a request was not recorded")

    async def _body(self, headers: RequestHeaders, receive: Receive) -> bytes:
        settings = self.service.settings
        check_headers(headers, settings)
        return decompress(await read_body(receive, settings), headers, settings)

    async def _send(self, send: Send, request_id: str, reply: Reply) -> None:
        headers = [
            (b"content-length", b"%d" % len(reply.content)),
            (b"x-request-id", request_id.encode()),
            *reply.headers,
        ]
        if self.service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.content})

    def _record(self, path: str, request_id: str, trace: Trace, status: int, seconds: float) -> None:
        """Count and log a response."""
        service = self.service
        service.metrics.responses.add(self.protocol, status, seconds)
        if service.settings.access_log:
            milliseconds = round(seconds * 1000, 3)
            service.log.add(
                RequestLine(time.time_ns(), "request", request_id, POST, path, status, milliseconds, *trace)
            )

    def _request_id(self, headers: RequestHeaders) -> str:
        given = headers.get(b"x-request-id", b"")
        return given.decode() if REQUEST_ID.fullmatch(given) else self.service.next_id()


def error_reply(error: Exception) -> Reply:
    """The reply for an error; one that is not the client's fault is logged with its traceback."""
    with contextlib.suppress(Exception):  # every client gets a reply
        if isinstance(error, ClientError):
            closing = [(b"connection", b"close")] if error.status in (408, 413) else []
            return Reply(error.status, error_body(str(error)), [*JSON_HEADERS, *error.headers, *closing])
        LOGGER.error("a request failed", exc_info=error)
    return INTERNAL_ERROR
