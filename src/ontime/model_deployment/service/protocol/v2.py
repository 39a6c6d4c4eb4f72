"""The Open Inference Protocol, version 2, with the binary tensor data extension.

A request has one tensor per feature, or one FP32 tensor `features` that is encoded already. A missing number is null
in JSON and NaN in a binary tensor, a missing category is null or an empty string. A request may name explanations among
its outputs; they are sent to no other. One more BYTES tensor, `key`, may name the rows in the log.
https://github.com/open-inference/open-inference-protocol
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.service.protocol.json_decoding import decode
from ontime.model_deployment.service.protocol.messages import (
    BINARY,
    CONTRIBUTIONS,
    EXPLANATION_TYPES,
    JSON_HEADERS,
    KEY,
    MOST_KEY_CHARACTERS,
    ClientError,
    Headers,
    InferRequest,
    InferResponse,
    InputTensor,
    Keys,
    OutputTensor,
    RequestedOutputs,
    RequestHeaders,
    Rows,
)
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.tensors import FLOATS, number_values, split_binary, string_values

HEADER_LENGTH = b"inference-header-content-length"
BYTES_OF = {"FP32": "<f4", "BOOL": "?"}
"""numpy's types of binary tensors."""
MOST_DIGITS = 18
"""Python refuses to read a number of some thousand digits."""


class InferProtocol:
    """Reads and writes `/infer` for one model."""

    def __init__(self, records: RecordEncoding) -> None:
        self.records, self.model = records, records.model
        self._decoder = msgspec.json.Decoder(InferRequest)
        self._takes_keys = KEY not in records.column_index

    def read(self, body: bytes, headers: RequestHeaders) -> tuple[Rows, RequestedOutputs, Keys]:
        """The rows of a request, the outputs that it asks for, and the rows' keys.

        Raises:
            ClientError: with the tensor or field and what was expected.
        """
        header, binary = _split_header(body, headers.get(HEADER_LENGTH))
        request = decode(self._decoder, header, type_with_nan=InferRequest)
        inputs = request.inputs
        if not inputs:
            raise ClientError(
                400,
                f"inputs: expected {len(self.records.column_index)} tensors, one per feature, or `features`; "
                "found none",
            )
        blobs = split_binary(inputs, binary)
        named = [place for place, tensor in enumerate(inputs) if tensor.name == KEY] if self._takes_keys else []
        if len(named) > 1:
            raise ClientError(400, f"{KEY}: expected one tensor, found {len(named)}")
        key = (inputs.pop(named[0]), blobs.pop(named[0])) if named and len(inputs) > 1 else None
        if inputs[0].name == "features" and len(inputs) == 1:
            rows: Rows = self._encoded_tensor(inputs[0], blobs[0])
        else:
            rows = self._feature_tensors(inputs, blobs)
        return rows, self._requested_outputs(request), self._keys(*key, len(rows)) if key else None

    def _keys(self, tensor: InputTensor, blob: memoryview | None, rows: int) -> Keys:
        if tensor.shape not in ([rows], [rows, 1]):
            raise ClientError(400, f"{KEY}: expected shape [{rows}] or [{rows}, 1], found {tensor.shape}")
        keys = string_values(tensor, blob)
        self.records.check_key_count(keys, rows, KEY)
        for row, key in enumerate(keys):
            if key is not None and len(key) > MOST_KEY_CHARACTERS:
                raise ClientError(
                    400, f"{KEY}: row {row}: expected at most {MOST_KEY_CHARACTERS} characters, found {len(key)}"
                )
        return keys

    def _encoded_tensor(self, tensor: InputTensor, blob: memoryview | None) -> Matrix:
        self.records.check_encoded("features")
        if tensor.datatype not in FLOATS:
            raise ClientError(400, f"features: expected datatype FP32, found {tensor.datatype}")
        shape, width = tensor.shape, len(self.records.column_index)
        if len(shape) != 2 or shape[1] != width:
            raise ClientError(400, f"features: expected shape [rows, {width}], found {shape}")
        self.records.check_row_count(shape[0], "features")
        values = number_values(tensor, blob, np.float32)
        if len(values) != shape[0] * width:
            raise ClientError(
                400, f"features: expected {shape[0] * width} values for shape {shape}, found {len(values)}"
            )
        return values.reshape(shape)

    def _feature_tensors(self, tensors: Sequence[InputTensor], blobs: Sequence[memoryview | None]) -> Rows:
        by_name = {tensor.name: (tensor, blob) for tensor, blob in zip(tensors, blobs, strict=True)}
        self._check_names(tensors, by_name)
        rows = tensors[0].shape[0]
        self.records.check_row_count(rows, tensors[0].name)
        columns: dict[str, Any] = {}
        for name, column in self.records.column_index.items():
            tensor, blob = by_name[name]
            if tensor.shape not in ([rows], [rows, 1]):
                raise ClientError(400, f"{name}: expected shape [{rows}] or [{rows}, 1], found {tensor.shape}")
            values = number_values(tensor, blob) if column < self.model.numbers else string_values(tensor, blob)
            if len(values) != rows:
                raise ClientError(400, f"{name}: expected {rows} values for shape {tensor.shape}, found {len(values)}")
            columns[name] = values
        return self.records.rows_of(columns)

    def _check_names(self, tensors: Sequence[InputTensor], by_name: Mapping[str, Any]) -> None:
        """Refuse inputs that are not exactly one tensor for each feature."""
        if len(by_name) != len(tensors):
            names = [tensor.name for tensor in tensors]
            raise ClientError(
                400, f"{next(name for name in names if names.count(name) > 1)}: expected one tensor, found two"
            )
        for name in by_name:
            if name not in self.records.column_index:
                raise ClientError(400, f"{name}: no such feature; see GET /v2/models/{self.model.name}")
        for name in self.records.column_index:
            if name not in by_name:
                raise ClientError(400, f"{name}: missing; expected a tensor for each feature")

    def _requested_outputs(self, request: InferRequest) -> RequestedOutputs:
        all_binary = _flag(request.parameters, "binary_data_output", "parameters")
        known = self.model.answer.types
        if request.outputs is UNSET or not request.outputs:
            return RequestedOutputs(request.id or "", tuple((name, all_binary) for name in known))
        outputs = tuple(
            (output.name, _flag(output.parameters, "binary_data", f"outputs.{output.name}", all_binary))
            for output in request.outputs
        )
        explained = False
        for name, _ in outputs:
            if name in EXPLANATION_TYPES:
                explained = True
            elif name not in known:
                raise ClientError(
                    400, f"outputs: no output {name}; expected one of {', '.join([*known, *EXPLANATION_TYPES])}"
                )
        return RequestedOutputs(request.id or "", outputs, explained)

    def write(self, requested: RequestedOutputs, predicted: Outputs) -> tuple[bytes, Headers]:
        """JSON, or JSON with binary tensors after it."""
        answer = self.model.answer
        tensors, blobs = [], []
        for name, binary in requested.outputs:
            if name in EXPLANATION_TYPES:
                tensor, blob = _explanation_tensor(name, binary, requested)
                blobs.extend([blob] if binary else [])
                tensors.append(tensor)
                continue
            values = answer.values(name, predicted)
            tensor = OutputTensor(name, list(values.shape), answer.types[name])
            if binary:
                blobs.append(bytes_of(values, answer.types[name]))
                tensor.parameters = {"binary_data_size": len(blobs[-1])}
            else:
                tensor.data = values.ravel().tolist()
            tensors.append(tensor)
        response = InferResponse(self.model.name, self.model.version, requested.id, tensors)
        content = msgspec.json.encode(response)
        if not blobs:
            return content, JSON_HEADERS
        headers = [(HEADER_LENGTH, b"%d" % len(content)), (b"content-type", BINARY)]
        return b"".join([content, *blobs]), headers


def bytes_of(values: npt.NDArray[Any], datatype: str) -> bytes:
    """The values of a binary tensor; of BYTES, each with its length before it."""
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values.tolist()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return values.astype(BYTES_OF[datatype]).tobytes()


def _explanation_tensor(name: str, binary: bool, requested: RequestedOutputs) -> tuple[OutputTensor, bytes]:
    """Contributions [rows, features] or base values [rows]; the bytes are of a binary tensor."""
    assert requested.explanation is not None  # noqa: S101 - the request was explained before it is answered
    values = requested.explanation.contributions if name == CONTRIBUTIONS else requested.explanation.base_value
    tensor, blob = OutputTensor(name, list(values.shape), EXPLANATION_TYPES[name]), b""
    if binary:
        blob = values.astype("<f8").tobytes()
        tensor.parameters = {"binary_data_size": len(blob)}
    else:
        tensor.data = [*values.ravel().tolist()]
    return tensor, blob


def _split_header(body: bytes, given_length: bytes | None) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors after it."""
    if given_length is None:
        return body, memoryview(b"")
    if not given_length.isdigit() or len(given_length) > MOST_DIGITS:
        shown = given_length[:80].decode("latin-1")
        raise ClientError(400, f"Inference-Header-Content-Length: expected a number, found {shown}")
    length = int(given_length)
    if not 0 < length <= len(body):
        raise ClientError(400, f"Inference-Header-Content-Length: expected 1 to {len(body)}, found {length}")
    return body[:length], memoryview(body)[length:]


def _flag(parameters: Mapping[str, Any] | UnsetType, name: str, field: str, default: bool = False) -> bool:
    value = parameters.get(name, default) if parameters else default
    if not isinstance(value, bool):
        raise ClientError(400, f"{field}.{name}: expected true or false, found {value!r:.40}")
    return value
