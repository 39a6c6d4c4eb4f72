"""How each server is asked: path, body and where the probabilities are in its answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontime.common.files import read_json
from ontime.encoder import Encoder


@dataclass(frozen=True)
class Rows:
    """Records, the same as an encoded matrix, and the probabilities that the champion was released with."""

    records: list[dict[str, Any]]
    matrix: list[list[float]]
    probabilities: list[float]


@dataclass(frozen=True)
class Form:
    """A request: its path, its JSON content for some rows, and the probabilities (rows,) of an answer that has them."""

    name: str
    path: str
    content: Callable[[Rows], Any]
    read: Callable[[Any], list[float]] | None

    def body(self, rows: Rows) -> bytes:
        """The bytes that are posted."""
        return json.dumps(self.content(rows), separators=(",", ":"), allow_nan=False).encode()


def golden_rows(champion: Path, count: int) -> Rows:
    """The champion's golden records that miss no value, as often as it takes.

    JSON has no NaN, and the servers read null in a tensor each in a way of its own.
    """
    golden = read_json(champion / "golden.json")
    complete = [index for index, record in enumerate(golden["records"]) if None not in record.values()]
    if not complete:
        raise SystemExit(f"{champion / 'golden.json'}: no record without a missing value")
    indices = [complete[number % len(complete)] for number in range(count)]
    records = [golden["records"][index] for index in indices]
    encoder = Encoder.from_vocabulary(read_json(champion / "vocabulary.json"))
    matrix = encoder.transform_records([[record[name] for name in encoder.features] for record in records])
    return Rows(records, matrix.tolist(), [golden["probabilities"][index] for index in indices])


def tensor_of(rows: Rows) -> dict[str, Any]:
    """Version 2 of the protocol with the encoded matrix as its one tensor."""
    flat = [value for row in rows.matrix for value in row]
    shape = [len(rows.matrix), len(rows.matrix[0])]
    return {"inputs": [{"name": "features", "shape": shape, "datatype": "FP32", "data": flat}]}


def columns_of(rows: Rows) -> dict[str, Any]:
    """Version 2 with a tensor per column, which MLServer makes a DataFrame of."""
    inputs = []
    for name, first in rows.records[0].items():
        is_text = isinstance(first, str)
        tensor: dict[str, Any] = {"name": name, "shape": [len(rows.records), 1]}
        tensor["datatype"] = "BYTES" if is_text else "FP64"
        if is_text:
            tensor["parameters"] = {"content_type": "str"}
        tensor["data"] = [record[name] for record in rows.records]
        inputs.append(tensor)
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}


RECORDS, TENSOR = "records", "tensor"
V1, V2 = "/v1/models/flight-delay:predict", "/v2/models/flight-delay/infer"
V1_RECORDS = Form(RECORDS, V1, lambda rows: {"instances": rows.records}, lambda answer: answer["predictions"])
V2_TENSOR = Form(TENSOR, V2, tensor_of, lambda answer: answer["outputs"][0]["data"])
ANY_RECORDS = Form(RECORDS, "/", V1_RECORDS.content, None)
ANY_TENSOR = Form(TENSOR, "/", V2_TENSOR.content, None)
MLFLOW_RECORDS = Form(
    RECORDS,
    "/invocations",
    lambda rows: {"dataframe_records": rows.records},
    lambda answer: [event for _, event in answer["predictions"]],
)
MLFLOW_MATRIX = Form(TENSOR, "/invocations", lambda rows: {"inputs": rows.matrix}, lambda answer: answer["predictions"])
MLSERVER_RECORDS = Form(RECORDS, V2, columns_of, lambda answer: answer["outputs"][0]["data"][1::2])
BENTOML_RECORDS = Form(RECORDS, "/predict", lambda rows: {"records": rows.records}, list)
BENTOML_MATRIX = Form(TENSOR, "/predict", lambda rows: {"features": rows.matrix}, list)
