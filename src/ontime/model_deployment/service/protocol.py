"""Requests and answers: the Open Inference Protocol version 2 and TensorFlow Serving's version 1, as typed messages.

In: a body. Out: the model's matrix, or `RefusedError` with the field's name and what was expected; and back.

Version 2 (https://github.com/open-inference/open-inference-protocol, with the binary tensor data extension) takes
one tensor per feature, or one FP32 tensor `features` that is encoded already. Version 1 takes `instances`, records
by feature name or encoded rows, or `inputs`, columns by feature name. A missing number is null (NaN in a tensor), a
missing category null (an empty text in a tensor). The same types make the OpenAPI document.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ontime.common.arrays import Matrix
from ontime.encoder import MISSING, Encoder
from ontime.model_deployment.inference.champion import Champion

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
Datatype = Literal[
    "BOOL",
    "BYTES",
    "FP16",
    "FP32",
    "FP64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
]
NumberData = list[float | list[float | None] | None]
"""A tensor's values, flat or in rows."""
PROBABILITY, DECISION = "probability", "decision"
OUTPUT_TYPES = {PROBABILITY: "FP32", DECISION: "BOOL"}
Rows = Matrix | list[Any]
"""Rows of one request: encoded, or records (structs with a field per feature) that are encoded with others'."""
BOTH: tuple[tuple[str, bool], ...] = ((PROBABILITY, False), (DECISION, False))
BOTH_BINARY: tuple[tuple[str, bool], ...] = ((PROBABILITY, True), (DECISION, True))


class RefusedError(Exception):
    """A request that is answered with a client error: status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class InputTensor(Struct, gc=False):
    """One input; its values are in `data` or, with `binary_data_size`, behind the JSON header."""

    name: str
    shape: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]
    datatype: Datatype
    data: Raw | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class RequestedOutput(Struct, gc=False):
    """One output that is wanted."""

    name: str
    parameters: dict[str, Any] | UnsetType = UNSET


class InferRequest(Struct, gc=False):
    """Version 2 request."""

    inputs: list[InputTensor]
    id: str | UnsetType = UNSET
    outputs: list[RequestedOutput] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class OutputTensor(Struct, gc=False, omit_defaults=True):
    """One output: probabilities FP32 or decisions BOOL."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[float | bool] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class InferResponse(Struct, gc=False, omit_defaults=True):
    """Version 2 answer."""

    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]


class PredictResponse(Struct, gc=False):
    """Version 1 answer: a probability per row; columns in (`inputs`) give columns out (`outputs`)."""

    predictions: list[float] | UnsetType = UNSET
    outputs: list[float] | UnsetType = UNSET


class ErrorResponse(Struct):
    """What both protocols say of a request that is refused."""

    error: str


@dataclass(frozen=True)
class Wanted:
    """How a version 2 client wants its outputs: name, and whether binary."""

    id: str
    outputs: tuple[tuple[str, bool], ...]


class Protocol:
    """Decoders for one model: its features are fields, so that the decoder itself checks names and types."""

    def __init__(self, model: Champion, max_rows: int) -> None:
        self.model, self.max_rows = model, max_rows
        self.encoder: Encoder = model.encoder
        features = self.encoder.features
        kinds = [float | None] * model.numbers + [str | None] * len(self.encoder.categories)
        self.record = msgspec.defstruct(
            "Record",
            [(f"f{place}", kind) for place, kind in enumerate(kinds)],
            rename={f"f{place}": name for place, name in enumerate(features)},
            forbid_unknown_fields=True,
            gc=False,
        )
        record: Any = self.record
        columns = msgspec.defstruct(
            "Columns",
            [(f"f{place}", list[kind]) for place, kind in enumerate(kinds)],  # type: ignore[valid-type]
            rename={f"f{place}": name for place, name in enumerate(features)},
            forbid_unknown_fields=True,
        )
        self.predict_request = msgspec.defstruct(
            "PredictRequest",
            [
                ("instances", list[record | list[float | None]] | UnsetType, UNSET),
                ("inputs", columns | UnsetType, UNSET),
                ("signature_name", str | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._predict = msgspec.json.Decoder(self.predict_request)
        self._infer = msgspec.json.Decoder(InferRequest)
        self._numbers = msgspec.json.Decoder(NumberData)
        self._texts = msgspec.json.Decoder(list[str | list[str | None] | None])
        self._booleans = msgspec.json.Decoder(list[bool | list[bool | None] | None])
        self._places = {name: place for place, name in enumerate(features)}
        self._texts_of_codes: list[dict[float, str | None]] = [
            dict(enumerate(("?", None, *known))) for known in self.encoder.categories.values()
        ]
        self._sizes = np.array(self.encoder.category_sizes, dtype=np.float32)
        required = np.flatnonzero(~model.may_be_missing)
        self._required_numbers = required[required < model.numbers]
        self._required_codes = required[required >= model.numbers]

    def field_of(self, feature: str) -> str:
        """The field of a record's struct that holds a feature."""
        return f"f{self._places[feature]}"

    def read_predict(self, body: bytes) -> tuple[Rows, bool]:
        """Rows of a version 1 request, and whether it came as columns."""
        request = _decode(self._predict, self.predict_request, body)
        rows, columns = request.instances, request.inputs
        if (rows is UNSET) == (columns is UNSET):
            raise RefusedError(400, "expected either `instances` or `inputs`")
        if rows is UNSET:
            values = msgspec.structs.astuple(columns)
            self._check_rows(len(values[0]), "inputs")
            for name, column in zip(self.encoder.features, values, strict=True):
                if len(column) != len(values[0]):
                    raise RefusedError(400, f"inputs.{name}: expected {len(values[0])} values, found {len(column)}")
            with np.errstate(over="ignore"):
                return self.encoder.transform(dict(zip(self.encoder.features, values, strict=True))), True
        self._check_rows(len(rows), "instances")
        if isinstance(rows[0], list):
            return self._encoded_rows(rows), False
        for place, row in enumerate(rows):
            if isinstance(row, list):
                raise RefusedError(400, f"instances[{place}]: expected an object like instances[0], found a list")
        return rows, False

    def matrix(self, batch: Sequence[Rows]) -> Matrix:
        """The rows of some requests as one matrix (rows, features); refuses an encoded row with a code that is none."""
        if all(isinstance(rows, list) for rows in batch):
            return self._encoded([record for rows in batch for record in rows])
        parts = [self._encoded(rows) if isinstance(rows, list) else rows for rows in batch]
        matrix = parts[0] if len(parts) == 1 else np.concatenate(parts)
        codes = matrix[:, self.model.numbers :]
        wrong = ~((codes >= 0) & (codes < self._sizes) & (codes % 1 == 0))
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            name, size = self.encoder.features[self.model.numbers + place], int(self._sizes[place])
            raise RefusedError(
                400, f"{name}: row {row}: expected a code from 0 to {size - 1}, found {codes[row, place]}"
            )
        return matrix

    def _encoded(self, records: list[Any]) -> Matrix:
        with np.errstate(over="ignore"):
            return self.encoder.transform_records([msgspec.structs.astuple(record) for record in records])

    def read_infer(self, body: bytes, header_length: int | None) -> tuple[Matrix, Wanted]:
        """Matrix of a version 2 request and how its answer is wanted.

        Args:
            header_length: bytes of JSON before the binary tensors; None where all is JSON.
        """
        binary = memoryview(b"")
        if header_length is not None:
            if not 0 < header_length <= len(body):
                raise RefusedError(
                    400, f"Inference-Header-Content-Length: expected 1 to {len(body)}, found {header_length}"
                )
            body, binary = body[:header_length], memoryview(body)[header_length:]
        request = _decode(self._infer, InferRequest, body)
        if not request.inputs:
            raise RefusedError(
                400, f"inputs: expected {len(self._places)} tensors, one per feature, or `features`; found none"
            )
        blobs = self._split(request.inputs, binary)
        if request.inputs[0].name == "features" and len(request.inputs) == 1:
            matrix = self._encoded_tensor(request.inputs[0], blobs[0])
        else:
            matrix = self._feature_tensors(request.inputs, blobs)
        return matrix, self._wanted(request)

    def _wanted(self, request: InferRequest) -> Wanted:
        every = _flag(request.parameters, "binary_data_output", "parameters")
        if request.outputs is UNSET or not request.outputs:
            outputs = BOTH_BINARY if every else BOTH
        else:
            outputs = tuple(
                (output.name, _flag(output.parameters, "binary_data", f"outputs.{output.name}", every))
                for output in request.outputs
            )
            for name, _ in outputs:
                if name not in OUTPUT_TYPES:
                    raise RefusedError(400, f"outputs: no output {name}; expected {' or '.join(OUTPUT_TYPES)}")
        return Wanted(request.id or "", outputs)

    def _split(self, tensors: Sequence[InputTensor], binary: memoryview) -> list[memoryview | None]:
        """The bytes of each tensor that has them behind the header, in the order of the tensors."""
        blobs: list[memoryview | None] = []
        place = 0
        for tensor in tensors:
            size = tensor.parameters.get("binary_data_size") if tensor.parameters else None
            if size is None:
                if tensor.data is UNSET:
                    raise RefusedError(400, f"{tensor.name}: expected `data` or a `binary_data_size`")
                blobs.append(None)
                continue
            if tensor.data is not UNSET:
                raise RefusedError(400, f"{tensor.name}: expected either `data` or a `binary_data_size`, found both")
            if type(size) is not int or not 0 <= size <= len(binary) - place:
                raise RefusedError(
                    400,
                    f"{tensor.name}: binary_data_size: expected 0 to {len(binary) - place} bytes, found {size!r:.40}",
                )
            blobs.append(binary[place : place + size])
            place += size
        if place != len(binary):
            raise RefusedError(400, f"expected {place} bytes of binary data, found {len(binary)}")
        return blobs

    def _encoded_tensor(self, tensor: InputTensor, blob: memoryview | None) -> Matrix:
        if tensor.datatype not in FLOATS:
            raise RefusedError(400, f"features: expected datatype FP32, found {tensor.datatype}")
        shape, width = tensor.shape, len(self._places)
        if len(shape) != 2 or shape[1] != width:
            raise RefusedError(400, f"features: expected shape [rows, {width}], found {shape}")
        self._check_rows(shape[0], "features")
        flat = self._number_values(tensor, blob, np.float32)
        if len(flat) != shape[0] * width:
            raise RefusedError(
                400, f"features: expected {shape[0] * width} values for shape {shape}, found {len(flat)}"
            )
        return flat.reshape(shape)

    def _feature_tensors(self, tensors: Sequence[InputTensor], blobs: Sequence[memoryview | None]) -> Matrix:
        found = {tensor.name: (tensor, blob) for tensor, blob in zip(tensors, blobs, strict=True)}
        if len(found) != len(tensors):
            names = [tensor.name for tensor in tensors]
            raise RefusedError(
                400, f"{next(name for name in names if names.count(name) > 1)}: expected one tensor, found two"
            )
        for name in found:
            if name not in self._places:
                raise RefusedError(400, f"{name}: no such feature; see GET /v2/models/{self.model.name}")
        for name in self._places:
            if name not in found:
                raise RefusedError(400, f"{name}: missing; expected a tensor for each feature")
        rows = tensors[0].shape[0]
        self._check_rows(rows, tensors[0].name)
        columns: dict[str, Any] = {}
        for name, place in self._places.items():
            tensor, blob = found[name]
            if tensor.shape not in ([rows], [rows, 1]):
                raise RefusedError(400, f"{name}: expected shape [{rows}] or [{rows}, 1], found {tensor.shape}")
            values = (
                self._number_values(tensor, blob) if place < self.model.numbers else self._text_values(tensor, blob)
            )
            if len(values) != rows:
                raise RefusedError(400, f"{name}: expected {rows} values for shape {tensor.shape}, found {len(values)}")
            columns[name] = values
        with np.errstate(over="ignore"):
            return self.encoder.transform(columns)

    def _number_values(
        self, tensor: InputTensor, blob: memoryview | None, wanted: type[np.floating[Any]] = np.float64
    ) -> npt.NDArray[np.floating[Any]]:
        name, kind = tensor.name, tensor.datatype
        if kind == "BOOL":
            if blob is None:
                return _flat(_decode(self._booleans, None, tensor.data, name), name, wanted)
            return np.frombuffer(blob, dtype=np.bool_).astype(wanted)
        if kind not in NUMBERS:
            raise RefusedError(400, f"{name}: expected a number's datatype such as FP32, found {kind}")
        if blob is None:
            values = _flat(_decode(self._numbers, NumberData, tensor.data, name), name, wanted)
            if kind in INTEGERS and (values % 1 != 0).any():
                raise RefusedError(400, f"{name}: expected whole numbers for datatype {kind}")
            return values
        dtype = np.dtype(NUMBERS[kind])
        if len(blob) % dtype.itemsize:
            raise RefusedError(
                400, f"{name}: expected a multiple of {dtype.itemsize} bytes for {kind}, found {len(blob)}"
            )
        return np.frombuffer(blob, dtype=dtype).astype(wanted)

    def _text_values(self, tensor: InputTensor, blob: memoryview | None) -> list[str | None]:
        name = tensor.name
        if tensor.datatype != "BYTES":
            raise RefusedError(400, f"{name}: expected datatype BYTES, found {tensor.datatype}")
        if blob is None:
            values = _decode(self._texts, None, tensor.data, name)
            flat = [text for row in values for text in (row if isinstance(row, list) else [row])]
            return [text or None for text in flat]
        texts: list[str | None] = []
        place = 0
        while place < len(blob):
            size = int.from_bytes(blob[place : place + 4], "little")
            text = bytes(blob[place + 4 : place + 4 + size])
            if place + 4 > len(blob) or len(text) != size:
                raise RefusedError(400, f"{name}: expected a text of {size} bytes at byte {place}, found {len(text)}")
            try:
                texts.append(text.decode() or None)
            except UnicodeDecodeError:
                raise RefusedError(400, f"{name}: expected UTF-8 at byte {place}") from None
            place += 4 + size
        return texts

    def _check_rows(self, rows: int, where: str) -> None:
        if rows < 1:
            raise RefusedError(400, f"{where}: expected at least one row, found none")
        if rows > self.max_rows:
            raise RefusedError(413, f"{where}: expected at most {self.max_rows} rows, found {rows}")

    def _encoded_rows(self, rows: Sequence[Any]) -> Matrix:
        width = len(self._places)
        for place, row in enumerate(rows):
            if not isinstance(row, list):
                raise RefusedError(400, f"instances[{place}]: expected a list like instances[0], found an object")
            if len(row) != width:
                raise RefusedError(400, f"instances[{place}]: expected {width} numbers, found {len(row)}")
        with np.errstate(over="ignore"):
            return np.array(rows, dtype=np.float64).astype(np.float32)

    def check(self, matrix: Matrix) -> None:
        """Refuse rows with a number that is infinite, or a value missing that may not be."""
        infinite = np.isinf(matrix)
        if infinite.any():
            row, place = np.argwhere(infinite)[0]
            raise RefusedError(400, f"{self.encoder.features[place]}: row {row}: expected a finite float32 number")
        for places, missing in (
            (self._required_numbers, np.isnan(matrix[:, self._required_numbers])),
            (self._required_codes, matrix[:, self._required_codes] == MISSING),
        ):
            if missing.any():
                row, place = np.argwhere(missing)[0]
                name = self.encoder.features[places[place]]
                raise RefusedError(400, f"{name}: row {row}: missing, expected a value")

    def write_infer(self, wanted: Wanted, probability: npt.NDArray[np.float32]) -> tuple[bytes, tuple[bytes, ...]]:
        """The JSON of a version 2 answer, and the binary tensors that follow it."""
        tensors, blobs = [], []
        for name, binary in wanted.outputs:
            tensor = OutputTensor(name, [len(probability)], OUTPUT_TYPES[name])  # type: ignore[arg-type]
            if binary:
                values = probability if name == PROBABILITY else self.model.decide(probability)
                blobs.append(values.astype("<f4" if name == PROBABILITY else "?").tobytes())
                tensor.parameters = {"binary_data_size": len(blobs[-1])}
            elif name == PROBABILITY:
                tensor.data = probability.tolist()
            else:
                tensor.data = [value >= self.model.threshold for value in probability.tolist()]
            tensors.append(tensor)
        answer = InferResponse(self.model.name, self.model.version, wanted.id, tensors)
        return msgspec.json.encode(answer), tuple(blobs)

    def record_of(self, row: list[float]) -> Any:
        """The record, a struct, of one encoded row; an unknown category is "?", a missing number stays NaN."""
        count = self.model.numbers
        return self.record(*row[:count], *map(dict.__getitem__, self._texts_of_codes, row[count:]))


def _decode(decoder: "msgspec.json.Decoder[Any]", kind: Any, body: Any, where: str = "") -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RefusedError(400, _place(error, where)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # tritonclient and Python's json write NaN, which JSON does not have
        if kind is not None and (b"NaN" in bytes(body) or b"Infinity" in bytes(body)):
            return _decode_with_nan(kind, bytes(body), where)
        raise RefusedError(400, f"{where + ': ' if where else ''}expected JSON: {error}") from None
    except RecursionError:
        raise RefusedError(400, "expected JSON that is not nested so deep") from None


def _decode_with_nan(kind: Any, body: bytes, where: str) -> Any:
    try:
        content = json.loads(body)
        if kind is InferRequest:
            return _infer_with_nan(content)
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise RefusedError(400, _place(error, where)) from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"{where + ': ' if where else ''}expected JSON: {error}") from None


def _infer_with_nan(content: Any) -> InferRequest:
    """A version 2 request whose tensors hold NaN; each tensor is read again on its own."""
    for tensor in content.get("inputs") or [] if isinstance(content, dict) else []:
        if isinstance(tensor, dict) and "data" in tensor:
            tensor["data"] = Raw(json.dumps(tensor["data"]).encode())
    return msgspec.convert(content, InferRequest)


def _place(error: Exception, where: str) -> str:
    reason, _, place = str(error).partition(" - at `$")
    name = (where + place.rstrip("`")).removeprefix(".")
    return f"{name}: {reason[:1].lower()}{reason[1:]}" if name else f"{reason[:1].lower()}{reason[1:]}"


def _flat(values: Sequence[Any], name: str, wanted: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    try:
        return np.array(values, dtype=wanted).reshape(-1)
    except (ValueError, TypeError):
        raise RefusedError(400, f"{name}: data: expected a flat list, or rows of equal length") from None


def _flag(parameters: Mapping[str, Any] | UnsetType, name: str, where: str, otherwise: bool = False) -> bool:
    value = parameters.get(name, otherwise) if parameters else otherwise
    if not isinstance(value, bool):
        raise RefusedError(400, f"{where}.{name}: expected true or false, found {value!r:.40}")
    return value
