"""An HTTP protocol of uvicorn's that answers most inference requests without a task, and with one system call each.

A request that one read brought whole needs none of what ASGI is for: no waiting for its body, no second write.
All others, and all other routes, are uvicorn's and the application's.
"""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ontime.model_deployment.service.app import Reply


class Exchange:
    """A request that is answered here, in the place of uvicorn's cycle of request and response."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self, keep_alive: bool, message_event: asyncio.Event) -> None:
        self.keep_alive, self.message_event = keep_alive, message_event
        self.response_complete = self.disconnected = False


class InferenceProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for an `Application`."""

    def __init__(self, config: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._inference = {path.encode(): (path, endpoint) for path, endpoint in config.app.inference.items()}
        self._nobody_waits = asyncio.Event()
        self._reading = False
        self._body: list[bytes] | None = None
        """What was read of a request's body, until it is whole or the read ends."""

    def data_received(self, data: bytes) -> None:
        """Take what a read brought; a request that is not whole then is the application's."""
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._body is not None:
            pieces, self._body = self._body, None
            super().on_headers_complete()
            for piece in pieces:
                super().on_body(piece)

    def on_headers_complete(self) -> None:
        """Keep an inference request on a connection that waits for no other answer, and whose client takes them."""
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
        """Begin to answer a request that is whole."""
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = b"".join(self._body), None
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange: Any = Exchange(keep_alive, self._nobody_waits)
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
