"""uvicorn's HTTP protocol with a short cut: most inference requests are answered without a task and by one write.

A request that arrives whole in one read needs neither ASGI's wait for the body nor a second write. Every other
request goes through uvicorn to the application.
"""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ontime.model_deployment.service.inference_endpoint import Reply


class Exchange:
    """One request and its response, where uvicorn would have a `RequestResponseCycle`."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self, keep_alive: bool, message_event: asyncio.Event) -> None:
        self.keep_alive, self.message_event = keep_alive, message_event
        self.response_complete = self.disconnected = False


class InferenceProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol, for an `Application`."""

    def __init__(self, config: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._inference = {path.encode(): (path, endpoint) for path, endpoint in config.app.inference.items()}
        self._unused_event = asyncio.Event()
        self._reading = False
        self._body: list[bytes] | None = None
        """Pieces of a request's body, until it is whole or the read ends."""

    def data_received(self, data: bytes) -> None:
        """Parse the bytes of one read; a request that is not whole after it goes to the application."""
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._body is not None:
            pieces, self._body = self._body, None
            super().on_headers_complete()
            for piece in pieces:
                super().on_body(piece)

    def on_headers_complete(self) -> None:
        """Take an inference request if none is pending on the connection and the client reads its responses."""
        if (
            self._reading
            and self.url in self._inference
            and self.parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
        ):
            self._body = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add to the body."""
        if self._body is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Queue a whole request for the model."""
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = b"".join(self._body), None
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange: Any = Exchange(keep_alive, self._unused_event)
        self.cycle = exchange
        path, endpoint = self._inference[self.url]
        endpoint.begin(path, dict(self.headers), body, partial(self._respond, exchange))

    def _respond(self, exchange: Exchange, reply: Reply) -> None:
        if exchange.disconnected:
            return
        headers = [*self.server_state.default_headers, *reply.headers]
        if (b"connection", b"close") in headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[reply.status], *lines, b"\r\n", reply.content]))
        exchange.response_complete = True
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()
