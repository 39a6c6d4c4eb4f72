"""One record gives one matrix in every form, and the log shows it again."""

from typing import Any

import msgspec
import numpy as np

from ontime.common.arrays import Matrix
from ontime.model_deployment.service.protocol.records import RecordEncoding
from tests.model_deployment.service.protocol.requests import (
    FEATURES,
    RECORD,
    infer,
    infer_binary,
    predict,
    string_blob,
    tensors,
    with_blobs,
)


def record_of(records: RecordEncoding, matrix: Matrix) -> Any:
    """The first row as the log writes it."""
    return msgspec.json.decode(msgspec.json.encode(records.record_of(matrix[0].tolist())))


def test_every_form_of_the_same_records_gives_the_same_matrix(records: RecordEncoding, golden: dict[str, Any]) -> None:
    examples = golden["records"]
    matrix = predict(records, {"instances": examples})
    assert matrix.dtype == np.float32
    columns = {name: [record[name] for record in examples] for name in FEATURES}
    encoded = [[None if np.isnan(value) else value for value in row] for row in matrix.tolist()]
    flat = [value for row in encoded for value in row]
    features = {"name": "features", "shape": list(matrix.shape), "datatype": "FP32"}
    binary = with_blobs([dict(features)], [matrix.astype("<f4").tobytes()])
    by_feature = with_blobs(
        [{**tensor, "shape": [len(examples), 1]} for tensor in tensors(examples)],
        [
            *(np.array(columns[name], dtype="<f4").tobytes() for name in ("weight", "fragile")),
            *(string_blob(*(text or "" for text in columns[name])) for name in ("depot", "service")),
        ],
    )
    for other in (
        predict(records, {"inputs": columns}),
        predict(records, {"instances": encoded}),
        infer(records, {"inputs": tensors(examples)}),
        infer(records, {"inputs": [{**features, "data": flat}]}),
        infer(records, {"inputs": [{**features, "data": encoded}]}),
        infer(records, {"inputs": list(reversed(tensors(examples)))}),
        infer_binary(records, *binary),
        infer_binary(records, *by_feature),
    ):
        np.testing.assert_array_equal(other, matrix)


def test_an_unknown_category_is_read_as_unknown(records: RecordEncoding) -> None:
    matrix = predict(records, {"instances": [RECORD | {"depot": "the moon"}]})
    assert record_of(records, matrix) == RECORD | {"depot": "?"}
    missing = predict(records, {"instances": [RECORD | {"depot": None, "weight": None}]})
    assert record_of(records, missing) == RECORD | {"depot": None, "weight": None}
