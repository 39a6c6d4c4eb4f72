"""uvicorn's HTTP protocol with a parser that declines offers to upgrade, and that bounds the head of a request."""

import asyncio
import logging
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ontime.model_deployment.service.one_write import OneWriteTransport

LOGGER = logging.getLogger(__name__)
MOST_HEAD_BYTES = 65536
"""Of a request's line and headers."""


class Parser:
    """A `httptools.HttpRequestParser` for a server that speaks HTTP/1.1 alone.

    A client that speaks HTTP/2 as well offers to upgrade in its first requests. A server may ignore the offer (RFC
    9110, section 7.8), but httptools skips the body of such a request. Here its head is parsed again without the offer.
    """

    def __init__(self, protocol: "HttpProtocol") -> None:
        self._protocol = protocol
        self._head_bytes, self._in_head, self._declined = 0, True, False
        self.on_message_begin, self.on_url = protocol.on_message_begin, protocol.on_url
        self.on_header, self.on_body = protocol.on_header, protocol.on_body
        self._restart()

    def _restart(self) -> None:
        self._parser = parser = httptools.HttpRequestParser(self)
        # a client may send more although it asked for the connection to be closed
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_method, self.get_http_version = parser.get_method, parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive

    def should_upgrade(self) -> bool:
        """Never, but for CONNECT, which is no offer."""
        return bool(self._parser.should_upgrade()) and not self._declined

    def on_headers_complete(self) -> None:
        """Pass the head on, unless it is to be parsed again."""
        self._in_head = False
        self._declined = self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT"
        if not self._declined:
            self._protocol.on_headers_complete()

    def on_message_complete(self) -> None:
        """Pass on that the request is whole, unless its head is to be parsed again."""
        self._in_head, self._head_bytes = True, 0
        if not self._declined:
            self._protocol.on_message_complete()

    def feed_data(self, data: bytes) -> None:
        """Parse one read.

        Raises:
            httptools.HttpParserError: it is not HTTP, or the head is too large.
        """
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._declined:
                raise
            head, self._declined = self._head_without_offer(), False
            self._restart()
            self.feed_data(head + data[upgrade.args[0] :])
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            raise httptools.HttpParserError(f"the head has more than {MOST_HEAD_BYTES} bytes")

    def _head_without_offer(self) -> bytes:
        protocol = self._protocol
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), protocol.url, version)]
        lines += [b"%b: %b" % header for header in protocol.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with another parser."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parser: Any = Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(cast(asyncio.Transport, OneWriteTransport(transport)))

    def data_received(self, data: bytes) -> None:
        """Take one read; whatever it holds, the client gets a response."""
        try:
            super().data_received(data)
        except Exception:
            LOGGER.exception("a read could not be taken in")
            self.send_400_response("The request could not be read.")
