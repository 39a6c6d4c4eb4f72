"""httptools' parser for a server that speaks HTTP/1.1 alone, with the checks and bounds that httptools leaves out."""

from typing import Any, Protocol

import httptools

from ontime.model_deployment.service.protocol.messages import ClientError, Headers

MOST_HEAD_BYTES = 65536
"""Of a request's line and headers, and of what stands between two pieces of a body, as trailers do."""
FORMAT_BYTES = 4
"""Of a header beside its name and value: a colon, a blank and the end of the line."""


class Receiver(Protocol):
    """What a parser tells of the requests that it reads, as uvicorn's protocol takes it."""

    url: bytes
    headers: Headers

    def on_message_begin(self) -> Any:
        """A request begins."""

    def on_url(self, url: bytes) -> Any:
        """A piece of its target."""

    def on_header(self, name: bytes, value: bytes) -> Any:
        """One header, or after the body one trailer."""

    def on_headers_complete(self) -> Any:
        """Its head is whole."""

    def on_body(self, body: bytes) -> Any:
        """A piece of its body."""

    def on_message_complete(self) -> Any:
        """It is whole."""


class Parser:
    """A `httptools.HttpRequestParser` for a server that speaks HTTP/1.1 alone.

    A client that speaks HTTP/2 as well offers to upgrade in its first requests. A server may ignore the offer (RFC
    9110, section 7.8), but httptools skips the body of such a request. Here its head is parsed again without the offer.

    `in_head` is true from the first byte of a head on, `in_body` from its last to the last of the request.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._bytes, self._declined = 0, False
        self.in_head = self.in_body = False
        self.on_url, self.on_header = receiver.on_url, receiver.on_header
        self._restart()

    def _restart(self) -> None:
        self._parser = parser = httptools.HttpRequestParser(self)
        # a client may send more although it asked for the connection to be closed
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_method, self.get_http_version = parser.get_method, parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive

    def should_upgrade(self) -> bool:
        """Never."""
        return False

    def on_message_begin(self) -> None:
        """A head begins."""
        self.in_head = True
        self._receiver.on_message_begin()

    def on_headers_complete(self) -> None:
        """Pass the head on, unless it is to be parsed again.

        Raises:
            ClientError: 400, 405 or 431.
        """
        receiver, method = self._receiver, self._parser.get_method()
        check_head(receiver.url, receiver.headers, self._parser.get_http_version())
        if method == b"CONNECT":
            raise ClientError(405, "CONNECT: this service is no proxy", [(b"allow", b"GET, HEAD, POST")])
        self._declined = self._parser.should_upgrade()
        if not self._declined:
            receiver.on_headers_complete()
        self._bytes, self.in_head, self.in_body = 0, False, True

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._bytes = 0
        self._receiver.on_body(body)

    def on_message_complete(self) -> None:
        """Pass on that the request is whole, unless its head is to be parsed again."""
        self._bytes, self.in_body = 0, False
        if not self._declined:
            self._receiver.on_message_complete()

    def feed_data(self, data: bytes) -> None:
        """Parse one read.

        Raises:
            ClientError: 400, it is not HTTP; 405, it asks for a tunnel; 431, the head is too large.
        """
        self._bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, ClientError):
                raise error.__context__ from None
            raise ClientError(400, f"expected HTTP/1.1: {error}") from None
        if self._bytes > MOST_HEAD_BYTES:
            raise head_too_large()

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                head = self._head_without_offer()
                self._declined = False
                self._restart()
                self._parser.feed_data(head)
                rest = rest[upgrade.args[0] :]
            else:
                return

    def _head_without_offer(self) -> bytes:
        receiver = self._receiver
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), receiver.url, version)]
        lines += [b"%b: %b" % header for header in receiver.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


def check_head(target: bytes, headers: Headers, version: str) -> None:
    """Refuse what RFC 9112 says a server must refuse, and httptools does not.

    Raises:
        ClientError: 400 or 431.
    """
    if len(target) + sum(len(name) + len(value) + FORMAT_BYTES for name, value in headers) > MOST_HEAD_BYTES:
        raise head_too_large()
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise ClientError(400, f"Host: expected once, found {hosts} times")
    if b"transfer-encoding" in names:
        found = b", ".join(value for name, value in headers if name == b"transfer-encoding")
        if found.strip().lower() != b"chunked":
            raise ClientError(400, f"Transfer-Encoding: expected chunked, found {found[:80].decode('latin-1')}")


def head_too_large() -> ClientError:
    """For headers, and for what is read without an end in sight."""
    return ClientError(431, f"headers: expected at most {MOST_HEAD_BYTES} bytes")


def path_and_query(target: bytes) -> bytes:
    """What a request asks for, without scheme and host, which a proxy may send before it.

    Raises:
        ClientError: 400.
    """
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserError:
        raise ClientError(400, "target: expected a path, or a URL that has one") from None
    return (url.path or b"/") + (b"?" + url.query if url.query else b"")
