"""One record gives one matrix in every form, and a wrong one is refused with the field's name."""

import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from ontime.model_deployment.inference.champion import Matrix, Model
from ontime.model_deployment.service.protocol import Protocol, RefusedError, Wanted

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


def text_blob(*texts: str) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def infer(protocol: Protocol, content: Any) -> Matrix:
    rows, _ = protocol.read_infer(json.dumps(content).encode(), None)
    matrix = protocol.matrix([rows])
    protocol.check(matrix)
    return matrix


def predict(protocol: Protocol, content: Any) -> Matrix:
    rows, _ = protocol.read_predict(json.dumps(content).encode())
    matrix = protocol.matrix([rows])
    protocol.check(matrix)
    return matrix


def record_of(protocol: Protocol, matrix: Matrix) -> Any:
    """The first row as the log writes it."""
    return msgspec.json.decode(msgspec.json.encode(protocol.record_of(matrix[0].tolist())))


def test_every_form_of_the_same_records_gives_the_same_matrix(protocol: Protocol, golden: dict[str, Any]) -> None:
    records = golden["records"]
    matrix = predict(protocol, {"instances": records})
    assert matrix.dtype == np.float32
    columns = {name: [record[name] for record in records] for name in FEATURES}
    encoded = [[None if np.isnan(value) else value for value in row] for row in matrix.tolist()]
    flat = [value for row in encoded for value in row]
    features = {"name": "features", "shape": list(matrix.shape), "datatype": "FP32"}
    binary = with_blobs([dict(features)], [matrix.astype("<f4").tobytes()])
    by_feature = with_blobs(
        [{**tensor, "shape": [len(records), 1]} for tensor in tensors(records)],
        [
            *(np.array(columns[name], dtype="<f4").tobytes() for name in ("weight", "fragile")),
            *(text_blob(*(text or "" for text in columns[name])) for name in ("depot", "service")),
        ],
    )
    for other in (
        predict(protocol, {"inputs": columns}),
        predict(protocol, {"instances": encoded}),
        infer(protocol, {"inputs": tensors(records)}),
        infer(protocol, {"inputs": [{**features, "data": flat}]}),
        infer(protocol, {"inputs": [{**features, "data": encoded}]}),
        infer(protocol, {"inputs": list(reversed(tensors(records)))}),
        protocol.read_infer(*binary)[0],
        protocol.read_infer(*by_feature)[0],
    ):
        np.testing.assert_array_equal(other, matrix)


def test_a_missing_number_may_be_written_as_nan(protocol: Protocol) -> None:
    by_null = predict(protocol, {"instances": [RECORD | {"weight": None}]})
    np.testing.assert_array_equal(predict(protocol, {"instances": [RECORD | {"weight": float("nan")}]}), by_null)
    np.testing.assert_array_equal(infer(protocol, {"inputs": tensors([RECORD | {"weight": float("nan")}])}), by_null)
    assert np.isnan(by_null[0, 0])


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT8", "INT64", "UINT16"])
def test_numbers_come_in_any_numeric_datatype(protocol: Protocol, datatype: str) -> None:
    inputs = tensors([RECORD | {"weight": 3}])
    inputs[0]["datatype"] = datatype
    kinds = {"FP64": "<f8", "FP16": "<f2", "INT8": "<i1", "INT64": "<i8", "UINT16": "<u2"}
    blob = np.array([3], dtype=kinds[datatype]).tobytes()
    blobs = [blob, np.float32(1).tobytes(), text_blob("north"), text_blob("day")]
    expected = predict(protocol, {"instances": [RECORD | {"weight": 3}]})
    np.testing.assert_array_equal(infer(protocol, {"inputs": inputs}), expected)
    np.testing.assert_array_equal(protocol.read_infer(*with_blobs(inputs, blobs))[0], expected)


def test_a_boolean_tensor_is_a_number(protocol: Protocol) -> None:
    inputs = tensors([RECORD])
    inputs[1] |= {"datatype": "BOOL", "data": [True]}
    np.testing.assert_array_equal(infer(protocol, {"inputs": inputs}), infer(protocol, {"inputs": tensors([RECORD])}))


def test_an_unknown_category_is_read_as_unknown(protocol: Protocol) -> None:
    matrix = predict(protocol, {"instances": [RECORD | {"depot": "the moon"}]})
    assert record_of(protocol, matrix) == RECORD | {"depot": "?"}
    missing = predict(protocol, {"instances": [RECORD | {"depot": None, "weight": None}]})
    assert record_of(protocol, missing) == RECORD | {"depot": None, "weight": None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "expected `object`, got `array`"),
        ({}, "expected either `instances` or `inputs`"),
        ({"instances": []}, "instances: expected at least one row, found none"),
        ({"instances": [RECORD], "inputs": {}}, "inputs: object missing required field `weight`"),
        ({"instance": [RECORD]}, "object contains unknown field `instance`"),
        ({"instances": [{name: RECORD[name] for name in FEATURES[1:]}]}, "missing required field `weight`"),
        ({"instances": [RECORD | {"colour": 1}]}, "instances[0]: object contains unknown field `colour`"),
        (
            {"instances": [RECORD, RECORD | {"weight": "2.5"}]},
            "instances[1].weight: expected `float | null`, got `str`",
        ),
        ({"instances": [RECORD | {"weight": True}]}, "instances[0].weight: expected `float | null`, got `bool`"),
        ({"instances": [RECORD | {"depot": 5}]}, "instances[0].depot: expected `str | null`, got `int`"),
        ({"instances": [RECORD | {"depot": float("nan")}]}, "instances[0].depot: expected `str | null`, got `float`"),
        ({"instances": [RECORD | {"service": None}]}, "service: row 0: missing, expected a value"),
        ({"instances": [RECORD | {"weight": float("inf")}]}, "weight: row 0: expected a finite float32 number"),
        ({"instances": [RECORD | {"weight": 1e39}]}, "weight: row 0: expected a finite float32 number"),
        ({"instances": [RECORD, [1, 1, 2, 2]]}, "instances[1]: expected an object like instances[0], found a list"),
        ({"instances": [[1, 1, 2, 2], RECORD]}, "instances[1]: expected a list like instances[0], found an object"),
        ({"instances": [[1, 1, 2]]}, "instances[0]: expected 4 numbers, found 3"),
        ({"instances": [[1, 1, 99, 2]]}, "depot: row 0: expected a code from 0 to 4, found 99.0"),
        ({"instances": [[1, 1, 1.5, 2]]}, "depot: row 0: expected a code from 0 to 4, found 1.5"),
        ({"instances": [[1, 1, None, 2]]}, "depot: row 0: expected a code from 0 to 4, found nan"),
        ({"instances": [RECORD] * 201}, "instances: expected at most 200 rows, found 201"),
        ({"inputs": {"weight": [1]}}, "inputs: object missing required field `fragile`"),
        (
            {"inputs": {"weight": [1, 2], "fragile": [1, 0], "depot": ["north"], "service": ["day", "day"]}},
            "inputs.depot: expected 2 values, found 1",
        ),
    ],
)
def test_a_wrong_version_1_request_is_refused_with_its_place(protocol: Protocol, content: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        predict(protocol, content)
    assert reason in str(refused.value)
    assert refused.value.status == (413 if "at most" in reason else 400)


def tensor(**changes: Any) -> list[dict[str, Any]]:
    """The tensors of one record with the first one, `weight`, changed."""
    first, *rest = tensors([RECORD])
    return [{key: value for key, value in (first | changes).items() if value is not ...}, *rest]


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
            "outputs: no output class; expected probability or decision",
        ),
        (
            {"inputs": tensors([RECORD]), "parameters": {"binary_data_output": 1}},
            "parameters.binary_data_output: expected true or false, found 1",
        ),
        ({"inputs": tensors([RECORD] * 201)}, "weight: expected at most 200 rows, found 201"),
    ],
)
def test_a_wrong_version_2_request_is_refused_with_its_place(protocol: Protocol, content: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        infer(protocol, content)
    assert reason in str(refused.value)
    assert refused.value.status == (413 if "at most" in reason else 400)


@pytest.mark.parametrize("length", [0, -1, 10_000])
def test_a_header_length_that_is_not_in_the_body_is_refused(protocol: Protocol, length: int) -> None:
    with pytest.raises(RefusedError, match=r"^Inference-Header-Content-Length: expected 1 to \d+, found"):
        protocol.read_infer(*with_blobs(tensors([RECORD]), [b""] * 4)[:1], length)


@pytest.mark.parametrize(
    ("blobs", "reason"),
    [
        ([b"123", b"1234", text_blob("north"), text_blob("day")], "weight: expected a multiple of 4 bytes for FP32"),
        (
            [b"12345678", b"1234", text_blob("north"), text_blob("day")],
            "weight: expected 1 values for shape [1], found 2",
        ),
        (
            [b"1234", b"1234", b"\xff\xff\xff\xff", text_blob("day")],
            "depot: expected a text of 4294967295 bytes at byte 0",
        ),
        ([b"1234", b"1234", b"\x01\x00", text_blob("day")], "depot: expected a text of 1 bytes at byte 0, found 0"),
        ([b"1234", b"1234", b"\x01\x00\x00\x00\xff", text_blob("day")], "depot: expected UTF-8 at byte 0"),
        ([b"1234", b"1234", text_blob("north"), b""], "service: expected 1 values for shape [1], found 0"),
    ],
)
def test_a_broken_binary_tensor_is_refused_with_its_name(protocol: Protocol, blobs: list[bytes], reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        protocol.read_infer(*with_blobs(tensors([RECORD]), blobs))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (99, "weight: binary_data_size: expected 0 to 8 bytes, found 99"),
        (-4, "weight: binary_data_size: expected 0 to 8 bytes, found -4"),
        ("4", "weight: binary_data_size: expected 0 to 8 bytes, found '4'"),
        (True, "weight: binary_data_size: expected 0 to 8 bytes, found True"),
        (4, "expected 4 bytes of binary data, found 8"),
    ],
)
def test_a_wrong_binary_size_is_refused(protocol: Protocol, size: Any, reason: str) -> None:
    inputs = tensor(data=..., parameters={"binary_data_size": size})
    header = json.dumps({"inputs": inputs}).encode()
    with pytest.raises(RefusedError) as refused:
        protocol.read_infer(header + b"12345678", len(header))
    assert str(refused.value) == reason


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff", b"[" * 100_000, b'{"instances": [NaN', b"Infinity"])
def test_what_is_no_json_object_is_refused(protocol: Protocol, body: bytes) -> None:
    for read in (protocol.read_predict, lambda body: protocol.read_infer(body, None)):
        with pytest.raises(RefusedError, match="expected"):
            read(body)


def test_an_answer_has_the_outputs_that_were_asked_for(protocol: Protocol, model: Model) -> None:
    body: dict[str, Any] = {
        "inputs": tensors([RECORD]),
        "id": "a",
        "outputs": [{"name": "decision"}, {"name": "probability"}],
    }
    body["outputs"][1]["parameters"] = {"binary_data": True}
    _, wanted = protocol.read_infer(json.dumps(body).encode(), None)
    probability = np.array([model.threshold + 1e-6, model.threshold - 1e-6], dtype=np.float32)
    content, blobs = protocol.write_infer(wanted, probability)
    assert json.loads(content) == {
        "model_name": "parcels",
        "model_version": "1.2.3",
        "id": "a",
        "outputs": [
            {"name": "decision", "shape": [2], "datatype": "BOOL", "data": [True, False]},
            {"name": "probability", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        ],
    }
    assert blobs == (probability.tobytes(),)


def test_a_probability_keeps_its_bits_in_json(protocol: Protocol) -> None:
    probability = np.random.default_rng(0).random(1000, dtype=np.float32)
    content, _ = protocol.write_infer(Wanted("", (("probability", False),)), probability)
    found = msgspec.json.decode(content)["outputs"][0]["data"]
    np.testing.assert_array_equal(np.array(found, dtype=np.float32), probability)
