"""Checks of an inference request before its JSON is read: model, headers, and the body's size and time limit."""

import asyncio

from starlette.types import Receive

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import BINARY, JSON, ClientError, RequestHeaders
from ontime.model_deployment.service.settings import Settings

TOO_SLOW = "the body arrived too slowly"


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
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise ClientError(415, "Content-Encoding: expected none")
    length = headers.get(b"content-length", b"0")
    if length.isdigit():
        check_size(int(length), settings)


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
