"""An inference request before its JSON is read: model, headers, and the body within its limits of size and time."""

import asyncio
import zlib

from starlette.types import Receive

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import BINARY, JSON, ClientError, RequestHeaders
from ontime.model_deployment.service.settings import Settings

TOO_SLOW = "the body arrived too slowly"
MOST_DIGITS = 18
"""Python refuses to read a number of some thousand digits."""
IDENTITY = b"identity"
GZIP_BITS = 31
WINDOW_BITS = {b"gzip": (GZIP_BITS,), b"x-gzip": (GZIP_BITS,), b"deflate": (15, -15)}
"""By content encoding, what zlib is to expect; some clients send deflate without its zlib header."""
MOST_MEMBERS = 1024
"""Of a gzip body; a body of the largest size has room for 400,000 empty ones, which take a second."""
PIECE_BYTES = 65536


class ClientDisconnectedError(Exception):
    """The client closed its connection before it had sent the whole request."""


def check_model(model: Champion, path_params: dict[str, str]) -> None:
    """Refuse another model's name or version.

    Raises:
        ClientError: 404.
    """
    if path_params["name"] != model.name:
        raise ClientError(404, f"no model {path_params['name'][:80]}; this service has {model.name}")
    version = path_params.get("version")
    if version is not None and version != model.version:
        raise ClientError(404, f"no version {version[:80]} of {model.name}; this service has {model.version}")


def check_headers(headers: RequestHeaders, settings: Settings) -> None:
    """Refuse a body by its type, encoding and declared length.

    Raises:
        ClientError: 413 or 415.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type not in (JSON, BINARY, b""):
        media_type = content_type.partition(b";")[0].strip().lower()
        if media_type not in (JSON, BINARY):
            shown = content_type[:80].decode("latin-1")
            raise ClientError(
                415, f"Content-Type: expected application/json or application/octet-stream, found {shown}"
            )
    encoding = content_encoding(headers)
    if encoding != IDENTITY and encoding not in WINDOW_BITS:
        shown = encoding[:80].decode("latin-1")
        raise ClientError(
            415,
            f"Content-Encoding: expected gzip, deflate or none, found {shown}",
            [(b"accept-encoding", b"gzip, deflate")],
        )
    length = headers.get(b"content-length", b"0")
    if length.isdigit():
        check_size(int(length[:MOST_DIGITS]), settings)


def content_encoding(headers: RequestHeaders) -> bytes:
    """How the body is compressed; `identity` if it is not."""
    found = headers.get(b"content-encoding")
    if found is None:
        return IDENTITY
    codings = [coding.strip().lower() for coding in found.split(b",")]
    return b", ".join(coding for coding in codings if coding not in (b"", IDENTITY)) or IDENTITY


def check_size(size: int, settings: Settings) -> None:
    """Refuse a body that is too large.

    Raises:
        ClientError: 413.
    """
    if size > settings.max_body_bytes:
        raise ClientError(413, f"body: expected at most {settings.max_body_bytes} bytes")


async def read_body(receive: Receive, settings: Settings) -> bytes:
    """The whole body, within the limits of size and time.

    Raises:
        ClientError: 408 or 413.
        ClientDisconnectedError: the client has disconnected.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - the server runs each request as a task
    # asyncio.timeout does the same at several times the cost, which is a tenth of a request
    timer = asyncio.get_running_loop().call_later(settings.body_seconds, task.cancel, TOO_SLOW)
    try:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            body += message.get("body", b"")
            more = message.get("more_body", False)
            check_size(len(body), settings)
    except asyncio.CancelledError as error:
        if error.args != (TOO_SLOW,):
            raise
        task.uncancel()
        raise ClientError(408, f"body: not received within {settings.body_seconds:g} seconds") from None
    finally:
        timer.cancel()
    return body


def decompress(body: bytes, headers: RequestHeaders, settings: Settings) -> bytes:
    """The body without its content encoding.

    Raises:
        ClientError: 413, it is larger than a body may be; 400, it is not what its header says, or not whole.
    """
    encoding = content_encoding(headers)
    if encoding == IDENTITY:
        return body
    for bits in WINDOW_BITS[encoding]:
        try:
            return _inflated(body, bits, settings)
        except zlib.error:
            continue
    raise ClientError(400, f"body: expected {encoding.decode()}, as Content-Encoding says")


def _inflated(body: bytes, bits: int, settings: Settings) -> bytes:
    content, offset, members = bytearray(), 0, 1
    stream = zlib.decompressobj(bits)
    while offset < len(body):
        if stream.eof:
            # gzip may have several, one after the other
            members += 1
            if bits != GZIP_BITS or members > MOST_MEMBERS:
                raise zlib.error("more than one stream")
            stream = zlib.decompressobj(bits)
        # in pieces, because zlib copies what it leaves
        piece = body[offset : offset + PIECE_BYTES]
        content += stream.decompress(piece, settings.max_body_bytes + 1 - len(content))
        check_size(len(content), settings)
        offset += len(piece) - len(stream.unused_data)
    if not stream.eof:
        raise zlib.error("the end is missing")
    return bytes(content)
