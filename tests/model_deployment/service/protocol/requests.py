"""Requests of one small model in every form, for the tests of both protocols."""

import json
import struct
from typing import Any

from ontime.common.arrays import Matrix
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import PredictProtocol
from ontime.model_deployment.service.protocol.v2 import HEADER_LENGTH, InferProtocol

RECORD = {"weight": 2.5, "fragile": 1, "depot": "north", "service": "day"}
FEATURES = list(RECORD)


def tensors(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One JSON tensor per feature."""
    return [
        {
            "name": name,
            "shape": [len(records)],
            "datatype": "BYTES" if name in ("depot", "service") else "FP32",
            "data": [record[name] for record in records],
        }
        for name in FEATURES
    ]


def with_blobs(inputs: list[dict[str, Any]], blobs: list[bytes], **more: Any) -> tuple[bytes, int]:
    """A binary request and the length of its header."""
    for tensor, blob in zip(inputs, blobs, strict=True):
        tensor.pop("data", None)
        tensor["parameters"] = {"binary_data_size": len(blob)}
    header = json.dumps({"inputs": inputs, **more}).encode()
    return header + b"".join(blobs), len(header)


def string_blob(*texts: str) -> bytes:
    """A binary BYTES tensor: each string after its length."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def tensor(**changes: Any) -> list[dict[str, Any]]:
    """The tensors of one record with the first one, `weight`, changed."""
    first, *rest = tensors([RECORD])
    return [{key: value for key, value in (first | changes).items() if value is not ...}, *rest]


def infer(records: RecordEncoding, content: Any) -> Matrix:
    """The checked matrix of a version 2 request."""
    matrix = records.matrix([InferProtocol(records).read(json.dumps(content).encode(), {})[0]])
    records.check(matrix)
    return matrix


def infer_binary(records: RecordEncoding, body: bytes, header_length: int) -> Matrix:
    """The matrix of a version 2 request with binary tensors."""
    return records.matrix([InferProtocol(records).read(body, {HEADER_LENGTH: b"%d" % header_length})[0]])


def predict(records: RecordEncoding, content: Any) -> Matrix:
    """The checked matrix of a version 1 request."""
    matrix = records.matrix([PredictProtocol(records).read(json.dumps(content).encode(), {})[0]])
    records.check(matrix)
    return matrix
