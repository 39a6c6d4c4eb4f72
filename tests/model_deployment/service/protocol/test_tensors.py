"""Tensors of every datatype give the same numbers, and broken binary data is refused with its name."""

import json
from typing import Any

import numpy as np
import pytest

from ontime.model_deployment.service.protocol.messages import ClientError
from ontime.model_deployment.service.protocol.records import RecordEncoding
from tests.model_deployment.service.protocol.requests import (
    RECORD,
    infer,
    infer_binary,
    predict,
    string_blob,
    tensor,
    tensors,
    with_blobs,
)


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT8", "INT64", "UINT16"])
def test_numbers_come_in_any_numeric_datatype(records: RecordEncoding, datatype: str) -> None:
    inputs = tensors([RECORD | {"weight": 3}])
    inputs[0]["datatype"] = datatype
    kinds = {"FP64": "<f8", "FP16": "<f2", "INT8": "<i1", "INT64": "<i8", "UINT16": "<u2"}
    blob = np.array([3], dtype=kinds[datatype]).tobytes()
    blobs = [blob, np.float32(1).tobytes(), string_blob("north"), string_blob("day")]
    expected = predict(records, {"instances": [RECORD | {"weight": 3}]})
    np.testing.assert_array_equal(infer(records, {"inputs": inputs}), expected)
    np.testing.assert_array_equal(infer_binary(records, *with_blobs(inputs, blobs)), expected)


def test_a_boolean_tensor_is_a_number(records: RecordEncoding) -> None:
    inputs = tensors([RECORD])
    inputs[1] |= {"datatype": "BOOL", "data": [True]}
    np.testing.assert_array_equal(infer(records, {"inputs": inputs}), infer(records, {"inputs": tensors([RECORD])}))


@pytest.mark.parametrize(
    ("blobs", "reason"),
    [
        (
            [b"123", b"1234", string_blob("north"), string_blob("day")],
            "weight: expected a multiple of 4 bytes",
        ),
        (
            [b"12345678", b"1234", string_blob("north"), string_blob("day")],
            "weight: expected 1 values for shape [1], found 2",
        ),
        (
            [b"1234", b"1234", b"\xff\xff\xff\xff", string_blob("day")],
            "depot: expected a string of 4294967295 bytes at byte 0",
        ),
        ([b"1234", b"1234", b"\x01\x00", string_blob("day")], "depot: expected a string of 1 bytes at byte 0, found 0"),
        ([b"1234", b"1234", b"\x01\x00\x00\x00\xff", string_blob("day")], "depot: expected UTF-8 at byte 0"),
        ([b"1234", b"1234", string_blob("north"), b""], "service: expected 1 values for shape [1], found 0"),
    ],
)
def test_a_broken_binary_tensor_is_refused_by_name(records: RecordEncoding, blobs: list[bytes], reason: str) -> None:
    with pytest.raises(ClientError) as refused:
        infer_binary(records, *with_blobs(tensors([RECORD]), blobs))
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
def test_a_wrong_binary_size_is_refused(records: RecordEncoding, size: Any, reason: str) -> None:
    inputs = tensor(data=..., parameters={"binary_data_size": size})
    header = json.dumps({"inputs": inputs}).encode()
    with pytest.raises(ClientError) as refused:
        infer_binary(records, header + b"12345678", len(header))
    assert str(refused.value) == reason
