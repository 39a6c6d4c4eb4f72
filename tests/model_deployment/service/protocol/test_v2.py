"""A wrong version 2 request is refused with the field, and a response has the outputs that were requested."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import ClientError, RequestedOutputs
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v2 import HEADER_LENGTH, InferProtocol
from tests.model_deployment.service.protocol.requests import (
    RECORD,
    infer,
    infer_binary,
    string_blob,
    tensor,
    tensors,
    with_blobs,
)
from tests.services import threshold_of

KEY: list[dict[str, Any]] = [{"name": "key", "shape": [2], "datatype": "BYTES", "data": ["a", None]}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "object missing required field `inputs`"),
        ({"inputs": []}, "inputs: expected 4 tensors, one per feature, or `features`; found none"),
        ({"inputs": tensors([RECORD])[1:]}, "weight: missing; expected a tensor for each feature"),
        ({"inputs": tensor(name="colour")}, "colour: no such feature; see GET /v2/models/parcels"),
        ({"inputs": tensor(name="fragile")}, "fragile: expected one tensor, found two"),
        ({"inputs": tensor(datatype="BYTES")}, "weight: expected a number's datatype such as FP32, found BYTES"),
        ({"inputs": tensor(datatype="FLOAT")}, "inputs[0].datatype: invalid enum value 'FLOAT'"),
        ({"inputs": tensor(datatype="INT32", data=[2.5])}, "weight: expected whole numbers for datatype INT32"),
        ({"inputs": tensor(shape=[2])}, "weight: expected 2 values for shape [2], found 1"),
        ({"inputs": tensor(shape=[-1])}, "inputs[0].shape[0]: expected `int` >= 0"),
        ({"inputs": tensor(shape=[])}, "inputs[0].shape: expected `array` of length >= 1"),
        ({"inputs": tensor(shape=[1, 2], data=[1, 2])}, "weight: expected shape [1] or [1, 1], found [1, 2]"),
        ({"inputs": tensor(data=[1, 2])}, "weight: expected 1 values for shape [1], found 2"),
        ({"inputs": tensor(data=["1.5"])}, "weight[0]: expected `float | array | null`, got `str`"),
        ({"inputs": tensor(data=[[1], 2])}, "weight: data: expected a flat list, or rows of equal length"),
        ({"inputs": tensor(data=...)}, "weight: expected `data` or a `binary_data_size`"),
        ({"inputs": tensor(parameters={"binary_data_size": 4})}, "weight: expected either `data` or a"),
        ({"inputs": tensor(shape=[0], data=[])}, "weight: expected at least one row, found none"),
        (
            {"inputs": [{"name": "features", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 2]}]},
            "features: expected shape [rows, 4], found [1, 3]",
        ),
        (
            {"inputs": [{"name": "features", "shape": [2, 4], "datatype": "FP32", "data": [1, 1, 2, 2]}]},
            "features: expected 8 values for shape [2, 4], found 4",
        ),
        (
            {"inputs": [{"name": "features", "shape": [1, 4], "datatype": "INT32", "data": [1, 1, 2, 2]}]},
            "features: expected datatype FP32, found INT32",
        ),
        (
            {"inputs": tensors([RECORD]), "outputs": [{"name": "class"}]},
            "outputs: no output class; expected one of probability, decision, contributions, base_value",
        ),
        (
            {"inputs": tensors([RECORD]), "parameters": {"binary_data_output": 1}},
            "parameters.binary_data_output: expected true or false, found 1",
        ),
        ({"inputs": [*tensors([RECORD]), *KEY]}, "key: expected shape [1] or [1, 1], found [2]"),
        (
            {"inputs": [*tensors([RECORD] * 2), KEY[0] | {"data": ["a"]}]},
            "key: expected 2 values, one per row, found 1",
        ),
        ({"inputs": [*tensors([RECORD] * 2), KEY[0] | {"datatype": "INT32"}]}, "key: expected datatype BYTES"),
        ({"inputs": [*tensors([RECORD] * 2), KEY[0] | {"data": ["a", 7]}]}, "key[1]: expected `str | array | null`"),
        (
            {"inputs": [*tensors([RECORD] * 2), KEY[0] | {"data": ["a", "b" * 257]}]},
            "key: row 1: expected at most 256 characters, found 257",
        ),
        ({"inputs": [*tensors([RECORD] * 2), *KEY, *KEY]}, "key: expected one tensor, found 2"),
        ({"inputs": KEY}, "key: no such feature"),
        ({"inputs": tensors([RECORD] * 201)}, "weight: expected at most 200 rows, found 201"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(records: RecordEncoding, content: Any, reason: str) -> None:
    with pytest.raises(ClientError) as refused:
        infer(records, content)
    assert reason in str(refused.value)
    assert refused.value.status == (413 if "at most 200 rows" in reason else 400)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_rows_have_the_keys_of_one_more_tensor_wherever_it_is(records: RecordEncoding, place: int) -> None:
    protocol, inputs = InferProtocol(records), tensors([RECORD, RECORD])
    inputs.insert(place, KEY[0])
    matrix, _, keys = protocol.read(json.dumps({"inputs": inputs}).encode(), {})
    assert (len(matrix), keys) == (2, ["a", None])


def test_encoded_rows_have_keys_too_and_binary_ones(records: RecordEncoding) -> None:
    protocol = InferProtocol(records)
    encoded = {"name": "features", "shape": [2, 4], "datatype": "FP32"}
    values = [1, 1, 2, 2, 1, 1, 2, 2]
    content = {"inputs": [encoded | {"data": values}, KEY[0] | {"shape": [2, 1]}]}
    assert protocol.read(json.dumps(content).encode(), {})[2] == ["a", None]
    blobs = [np.array(values, dtype="<f4").tobytes(), string_blob("\N{LATIN SMALL LETTER E WITH ACUTE}", "")]
    body, length = with_blobs([encoded, dict(KEY[0])], blobs)
    rows, _, keys = protocol.read(body, {HEADER_LENGTH: b"%d" % length})
    assert (records.matrix([rows]).tolist(), keys) == (
        [[1, 1, 2, 2]] * 2,
        ["\N{LATIN SMALL LETTER E WITH ACUTE}", None],
    )


def test_a_feature_called_key_is_a_feature(model: Champion) -> None:
    names = {"weight": "key"}
    encoder = Encoder(tuple(names.get(name, name) for name in model.encoder.numbers), model.encoder.categories)
    inputs = [one | {"name": names.get(one["name"], one["name"])} for one in tensors([RECORD])]
    records = RecordEncoding(replace(model, encoder=encoder), 10)
    rows, _, keys = InferProtocol(records).read(json.dumps({"inputs": inputs}).encode(), {})
    assert (records.matrix([rows])[0, 0], keys) == (RECORD["weight"], None)


@pytest.mark.parametrize("length", [0, 10_000])
def test_a_header_length_that_is_not_in_the_body_is_refused(records: RecordEncoding, length: int) -> None:
    with pytest.raises(ClientError, match=r"^Inference-Header-Content-Length: expected 1 to \d+, found"):
        infer_binary(records, *with_blobs(tensors([RECORD]), [b""] * 4)[:1], length)


def test_a_response_has_the_requested_outputs(records: RecordEncoding, model: Champion) -> None:
    protocol = InferProtocol(records)
    outputs: list[dict[str, Any]] = [{"name": "decision"}, {"name": "probability", "parameters": {"binary_data": True}}]
    _, requested, _ = protocol.read(
        json.dumps({"inputs": tensors([RECORD]), "id": "a", "outputs": outputs}).encode(), {}
    )
    probability = np.array([threshold_of(model) + 1e-6, threshold_of(model) - 1e-6], dtype=np.float32)
    content, headers = protocol.write(requested, probability)
    length = int(dict(headers)[HEADER_LENGTH])
    assert json.loads(content[:length]) == {
        "model_name": "parcels",
        "model_version": "1.2.3",
        "id": "a",
        "outputs": [
            {"name": "decision", "shape": [2], "datatype": "BOOL", "data": [True, False]},
            {"name": "probability", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        ],
    }
    assert content[length:] == probability.tobytes()
    assert dict(headers)[b"content-type"] == b"application/octet-stream"


def test_a_probability_keeps_its_bits_in_json(records: RecordEncoding) -> None:
    probability = np.random.default_rng(0).random(1000, dtype=np.float32)
    content, _ = InferProtocol(records).write(RequestedOutputs("", (("probability", False),)), probability)
    values = msgspec.json.decode(content)["outputs"][0]["data"]
    np.testing.assert_array_equal(np.array(values, dtype=np.float32), probability)
