"""A model that reads text takes it as a string in every form, keeps it for the log, and takes no encoded rows."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import ClientError
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import PredictProtocol
from ontime.model_deployment.service.protocol.v2 import HEADER_LENGTH, InferProtocol
from tests.model_deployment.service.protocol.requests import RECORD, string_blob, tensors, with_blobs

NOTES = ["Handle with CARE, with care!", None]
ROWS: list[dict[str, Any]] = [RECORD | {"note": note} for note in NOTES]
NOTE = {"name": "note", "shape": [2], "datatype": "BYTES"}


@pytest.fixture
def records(model: Champion) -> RecordEncoding:
    texts = {"note": {"care": 2.0, "with": 1.0, "with care": 1.5}}
    encoder = Encoder(model.encoder.numbers, model.encoder.categories, texts)
    return RecordEncoding(replace(model, encoder=encoder), 10)


def requests(records: RecordEncoding) -> dict[str, Any]:
    """The rows as each form gives them."""
    v1, v2 = PredictProtocol(records), InferProtocol(records)
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    json_tensors = [*tensors([RECORD, RECORD]), NOTE | {"data": NOTES}]
    numbers = {"weight": "<f4", "fragile": "<f4"}
    blobs = [
        np.array(columns[name], dtype=numbers[name]).tobytes()
        if name in numbers
        else string_blob(*(value or "" for value in columns[name]))
        for name in columns
    ]
    body, length = with_blobs([*tensors([RECORD, RECORD]), dict(NOTE)], blobs)
    return {
        "instances": v1.read(json.dumps({"instances": ROWS}).encode(), {})[0],
        "inputs": v1.read(json.dumps({"inputs": columns}).encode(), {})[0],
        "tensors": v2.read(json.dumps({"inputs": json_tensors}).encode(), {})[0],
        "binary": v2.read(body, {HEADER_LENGTH: b"%d" % length})[0],
    }


def test_a_text_gives_the_same_columns_in_every_form(records: RecordEncoding) -> None:
    for rows in requests(records).values():
        matrix = records.matrix([rows])
        records.check(matrix)
        assert matrix.shape == (2, 8)
        weights = np.array([2.0, 1.0, 1.5]) * (1 + np.log(2))
        np.testing.assert_allclose(matrix[0, 4:], [4, *(weights / np.linalg.norm(weights))], rtol=1e-6)
        np.testing.assert_array_equal(matrix[1, 4:], np.array([np.nan, 0, 0, 0], dtype=np.float32))


def test_the_log_has_the_text_in_every_form(records: RecordEncoding) -> None:
    for rows in requests(records).values():
        assert [getattr(row, records.field_of("note")) for row in rows] == NOTES


def test_encoded_rows_are_refused(records: RecordEncoding) -> None:
    row = [2.5, 1, 2, 2, 0]
    tensor = {"name": "features", "shape": [1, 5], "datatype": "FP32", "data": row}
    with pytest.raises(ClientError, match=r"^instances\[0\]: the model reads text, so it takes no encoded rows"):
        PredictProtocol(records).read(json.dumps({"instances": [row]}).encode(), {})
    with pytest.raises(ClientError, match=r"^features: the model reads text, so it takes no encoded rows"):
        InferProtocol(records).read(json.dumps({"inputs": [tensor]}).encode(), {})
