"""The values of a version 2 tensor: from its JSON, or from the bytes behind the request's JSON (binary extension)."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from ontime.model_deployment.service.protocol.json_decoding import decode
from ontime.model_deployment.service.protocol.messages import ClientError, InputTensor

Numbers = npt.NDArray[np.floating[Any]]
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
INTEGERS = {
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
NUMBERS = FLOATS | INTEGERS
NumberData = list[float | list[float | None] | None]
"""A tensor's values, flat or in rows."""
NUMBER_DECODER = msgspec.json.Decoder(NumberData)
STRING_DECODER = msgspec.json.Decoder(list[str | list[str | None] | None])
BOOLEAN_DECODER = msgspec.json.Decoder(list[bool | list[bool | None] | None])


def split_binary(tensors: Sequence[InputTensor], binary: memoryview) -> list[memoryview | None]:
    """The bytes of each tensor in order; None for a tensor that has its values in JSON."""
    blobs: list[memoryview | None] = []
    offset = 0
    for tensor in tensors:
        size = tensor.parameters.get("binary_data_size") if tensor.parameters else None
        if size is None:
            if tensor.data is UNSET:
                raise ClientError(400, f"{tensor.name}: expected `data` or a `binary_data_size`")
            blobs.append(None)
            continue
        if tensor.data is not UNSET:
            raise ClientError(400, f"{tensor.name}: expected either `data` or a `binary_data_size`, found both")
        if type(size) is not int or not 0 <= size <= len(binary) - offset:
            raise ClientError(
                400,
                f"{tensor.name}: binary_data_size: expected 0 to {len(binary) - offset} bytes, found {size!r:.40}",
            )
        blobs.append(binary[offset : offset + size])
        offset += size
    if offset != len(binary):
        raise ClientError(400, f"expected {offset} bytes of binary data, found {len(binary)}")
    return blobs


def number_values(tensor: InputTensor, blob: memoryview | None, dtype: type[np.floating[Any]] = np.float64) -> Numbers:
    """A number or BOOL tensor's values, flat; NaN where null."""
    name, datatype = tensor.name, tensor.datatype
    if datatype == "BOOL":
        if blob is None:
            return _flat(decode(BOOLEAN_DECODER, tensor.data, name), name, dtype)
        return np.frombuffer(blob, dtype=np.bool_).astype(dtype)
    if datatype not in NUMBERS:
        raise ClientError(400, f"{name}: expected a number's datatype such as FP32, found {datatype}")
    if blob is None:
        values = _flat(decode(NUMBER_DECODER, tensor.data, name, NumberData), name, dtype)
        if datatype in INTEGERS and (values % 1 != 0).any():
            raise ClientError(400, f"{name}: expected whole numbers for datatype {datatype}")
        return values
    stored = np.dtype(NUMBERS[datatype])
    if len(blob) % stored.itemsize:
        raise ClientError(
            400, f"{name}: expected a multiple of {stored.itemsize} bytes for {datatype}, found {len(blob)}"
        )
    return np.frombuffer(blob, dtype=stored).astype(dtype)


def string_values(tensor: InputTensor, blob: memoryview | None) -> list[str | None]:
    """A BYTES tensor's values, flat; None where null or empty."""
    name = tensor.name
    if tensor.datatype != "BYTES":
        raise ClientError(400, f"{name}: expected datatype BYTES, found {tensor.datatype}")
    if blob is not None:
        return _strings_of_bytes(name, blob)
    rows = decode(STRING_DECODER, tensor.data, name)
    return [value or None for row in rows for value in (row if isinstance(row, list) else [row])]


def _strings_of_bytes(name: str, blob: memoryview) -> list[str | None]:
    """Strings that each have their length before them, in four bytes."""
    strings: list[str | None] = []
    offset = 0
    while offset < len(blob):
        size = int.from_bytes(blob[offset : offset + 4], "little")
        content = bytes(blob[offset + 4 : offset + 4 + size])
        if offset + 4 > len(blob) or len(content) != size:
            raise ClientError(
                400, f"{name}: expected a string of {size} bytes at byte {offset}, found {len(content)} bytes"
            )
        try:
            strings.append(content.decode() or None)
        except UnicodeDecodeError:
            raise ClientError(400, f"{name}: expected UTF-8 at byte {offset}") from None
        offset += 4 + size
    return strings


def _flat(values: Sequence[Any], name: str, dtype: type[np.floating[Any]]) -> Numbers:
    try:
        return np.array(values, dtype=dtype).reshape(-1)
    except (ValueError, TypeError):
        raise ClientError(400, f"{name}: data: expected a flat list, or rows of equal length") from None
