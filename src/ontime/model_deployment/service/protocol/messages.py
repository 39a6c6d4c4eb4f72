"""The messages of both protocols as types: requests are decoded by them, and the OpenAPI document is made of them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.explanation import Explanation
from ontime.model_deployment.inference.golden import Said
from ontime.model_deployment.inference.trees import Scale

Headers = list[tuple[bytes, bytes]]
RequestHeaders = dict[bytes, bytes]
JSON, BINARY = b"application/json", b"application/octet-stream"
JSON_HEADERS: Headers = [(b"content-type", JSON)]

Rows = Matrix | list[Any]
"""Rows of one request: an encoded matrix, or records (structs with a field per feature)."""

KEY = "key"
"""Version 2 input that names the rows, unless a feature is called so."""
MOST_KEY_CHARACTERS = 256
Key = Annotated[str, Meta(max_length=MOST_KEY_CHARACTERS)]
Keys = list[str | None] | None
"""What the rows of one request are called in the log, for the labels that come later; None where it names none."""

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
CONTRIBUTIONS, BASE_VALUE = "contributions", "base_value"
EXPLANATION_TYPES: dict[str, Datatype] = {CONTRIBUTIONS: "FP64", BASE_VALUE: "FP64"}
"""Outputs that are computed only for a request that names them."""


class ClientError(Exception):
    """A request that is answered with a 4xx status and one line, and with headers that say how to do better."""

    def __init__(self, status: int, reason: str, headers: Headers | None = None) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers or []


class InputTensor(Struct, gc=False):
    """One input; its values are in `data` or, with `binary_data_size`, after the JSON header."""

    name: str
    shape: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]
    datatype: Datatype
    data: Raw | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class RequestedOutput(Struct, gc=False):
    """One output that the client asks for."""

    name: str
    parameters: dict[str, Any] | UnsetType = UNSET


class InferRequest(Struct, gc=False):
    """Version 2 request."""

    inputs: list[InputTensor]
    id: str | UnsetType = UNSET
    outputs: list[RequestedOutput] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class OutputTensor(Struct, gc=False, omit_defaults=True):
    """One output: what the model answers, or explanations FP64."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[float | bool | str] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class InferResponse(Struct, gc=False, omit_defaults=True):
    """Version 2 response."""

    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]


class PredictResponse(Struct, gc=False):
    """Version 1 response: a probability or a number per row, of classes a list of probabilities.

    Columns in (`inputs`) give columns out (`outputs`).
    """

    predictions: list[Said] | UnsetType = UNSET
    outputs: list[Said] | UnsetType = UNSET


class RowExplanation(Struct, gc=False):
    """One explained row: base value and contributions add up to the margin; estimates come of so many orders."""

    base_value: float
    margin: float
    scale: Scale
    exact: bool
    contributions: dict[str, float]
    permutations: int | UnsetType = UNSET


class ExplainResponse(Struct, gc=False):
    """Version 1 response of `:explain`: what the model says, and an explanation per row."""

    predictions: list[Said]
    explanations: list[RowExplanation]


class ErrorResponse(Struct):
    """Why a request was refused, in both protocols."""

    error: str


@dataclass
class RequestedOutputs:
    """What a version 2 response holds: the client's id, and for each output its name and whether it is binary.

    `explained` says whether the outputs need an explanation, which is there before the response is written.
    """

    id: str
    outputs: tuple[tuple[str, bool], ...]
    explained: bool = False
    explanation: Explanation | None = None


def error_body(reason: str) -> bytes:
    """The JSON of an error."""
    return msgspec.json.encode(ErrorResponse(reason))
