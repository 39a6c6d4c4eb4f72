"""JSON of clients, decoded to a type; an error names the field, and NaN is read although JSON does not have it."""

import json
from typing import Any

import msgspec
from msgspec import Raw

from ontime.model_deployment.service.protocol.messages import ClientError, InferRequest


def decode(decoder: "msgspec.json.Decoder[Any]", body: Any, field: str = "", type_with_nan: Any = None) -> Any:
    """Decode a body, or one field of it.

    Args:
        field: name of the field that `body` is the JSON of; empty for a whole body.
        type_with_nan: the decoder's type if its numbers may be NaN or Infinity, None if they may not.

    Raises:
        ClientError: it is not JSON, or not of the decoder's type.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ClientError(400, _validation_reason(error, field)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # tritonclient and Python's json write NaN
        if type_with_nan is not None and (b"NaN" in bytes(body) or b"Infinity" in bytes(body)):
            return _decode_with_nan(type_with_nan, bytes(body), field)
        raise ClientError(400, _syntax_reason(error, field)) from None
    except RecursionError:
        raise ClientError(400, "the JSON is nested too deeply") from None


def _decode_with_nan(wanted_type: Any, body: bytes, field: str) -> Any:
    try:
        content = json.loads(body)
        # what is no Unicode, a lone half of a surrogate pair, can be neither answered nor logged
        json.dumps(content, ensure_ascii=False).encode()
        if wanted_type is InferRequest:
            return _infer_request_with_nan(content)
        return msgspec.convert(content, wanted_type)
    except msgspec.ValidationError as error:
        raise ClientError(400, _validation_reason(error, field)) from None
    except (ValueError, RecursionError) as error:
        raise ClientError(400, _syntax_reason(error, field)) from None


def _infer_request_with_nan(content: Any) -> InferRequest:
    """A version 2 request whose tensors hold NaN; each tensor's data is decoded later on its own."""
    for tensor in content.get("inputs") or [] if isinstance(content, dict) else []:
        if isinstance(tensor, dict) and "data" in tensor:
            tensor["data"] = Raw(json.dumps(tensor["data"]).encode())
    return msgspec.convert(content, InferRequest)


def _syntax_reason(error: Exception, field: str) -> str:
    return f"{field + ': ' if field else ''}expected JSON: {error}"


def _validation_reason(error: Exception, field: str) -> str:
    """The reason with the field first: msgspec says "Expected `int` - at `$.inputs[0]`"."""
    reason, _, path = str(error).partition(" - at `$")
    name = (field + path.rstrip("`")).removeprefix(".")
    return f"{name}: {reason[:1].lower()}{reason[1:]}" if name else f"{reason[:1].lower()}{reason[1:]}"
