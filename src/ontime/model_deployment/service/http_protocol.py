"""uvicorn's HTTP protocol with a parser of its own, and one write for a response's head and body."""

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ontime.model_deployment.service.http_parser import Parser, path_and_query
from ontime.model_deployment.service.one_write import OneWriteTransport
from ontime.model_deployment.service.protocol.messages import ClientError

LOGGER = logging.getLogger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parser: Any = Parser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin a connection."""
        super().connection_made(cast(asyncio.Transport, OneWriteTransport(transport)))

    def data_received(self, data: bytes) -> None:
        """Take one read; whatever it holds, the client gets a response."""
        try:
            super().data_received(data)
        except ClientError as error:
            self.send_400_response(ascii(str(error))[1:-1])
        except Exception:
            LOGGER.exception("a read could not be taken in")
            self.send_400_response("the request could not be read")

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio takes it
        """Answer a client that has shut down its own side, then close."""
        self.shutdown()
        return True

    def on_headers_complete(self) -> None:
        """Start the response, or queue it."""
        if not self.url.startswith(b"/"):
            self.url = path_and_query(self.url)
        super().on_headers_complete()
        # trailers come after the body, and a server may leave them out
        self.headers = []
