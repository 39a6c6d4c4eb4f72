"""Valid requests at random, and what they mean; and the offers that clients make in theirs."""

import random
from itertools import pairwise
from typing import NamedTuple

from ontime.model_deployment.service.protocol.messages import Headers

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"
CLOSING = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"


class Request(NamedTuple):
    """What a parser told of one request."""

    method: bytes
    target: bytes
    version: str
    headers: Headers
    body: bytes


def chunked(body: bytes, size: int, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """A body in chunks."""
    pieces = [body[offset : offset + size] for offset in range(0, len(body), size)]
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join([*chunks, b"0", extension, b"\r\n", trailers, b"\r\n"])


def random_request(moments: random.Random) -> tuple[bytes, Request]:
    """The bytes of a valid request, and what they mean."""
    method, version = moments.choice([b"GET", b"POST", b"PUT", b"OPTIONS"]), moments.choice([b"1.1", b"1.1", b"1.0"])
    target = moments.choice([b"/", b"/v1/models/a:predict?x=1&y", b"http://host:80/v2", b"/%3A", b"//a//b"])
    body = moments.randbytes(moments.choice([0, 1, 7, 300]))
    headers = [(b"host", b"a")]
    headers += moments.sample([(b"x-empty", b""), (b"x-a", b"1, 2"), (b"x-latin", b"\xfc"), (b"x-a", b"3")], 2)
    offer = moments.choice([b"", b"", H2C, WEBSOCKET, CLOSING])
    stay = moments.choice([b"", b"", b"", b"close", b"keep-alive"])
    headers += [(b"connection", stay)] if stay and offer != CLOSING else []
    offered = [line.split(b": ", 1) for line in offer.splitlines()]
    headers += [(name.lower(), value) for name, value in offered]
    rest = body
    if body and moments.random() < 0.5:
        headers.append((b"transfer-encoding", b"chunked"))
        extension = moments.choice([b"", b";a=b", b';a="b c"'])
        rest = chunked(body, moments.choice([1, 16, 1000]), extension, moments.choice([b"", b"X-T: 1\r\nX-A:\r\n"]))
    elif body or moments.random() < 0.3:
        headers.append((b"content-length", b"%d" % len(body)))
    moments.shuffle(headers)
    lines = [b"%b %b HTTP/%b" % (method, target, version), *(b"%b: %b" % header for header in headers)]
    found = [header for header in headers if header[0] != b"upgrade" or not offer]
    blank = moments.choice([b"", b"", b"\r\n"])
    content = blank + b"\r\n".join([*lines, b"", rest])
    return content, Request(method, target, version.decode(), found, body)


def closes(request: Request) -> bool:
    """Whether the client will read no answer to a later request."""
    tokens = b",".join(value for name, value in request.headers if name == b"connection")
    return b"close" in tokens or (request.version == "1.0" and b"keep-alive" not in tokens)


def random_pieces(moments: random.Random, content: bytes) -> list[bytes]:
    """The content in some random pieces, or in single bytes."""
    count = moments.choice([1, 2, 5, 20, len(content)])
    ends = sorted(moments.choices(range(len(content) + 1), k=count))
    return [content[start:end] for start, end in pairwise([0, *ends, len(content)])]
