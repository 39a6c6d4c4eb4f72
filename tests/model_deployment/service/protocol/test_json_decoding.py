"""JSON that cannot be read is refused in one line; NaN is read as a missing number."""

import numpy as np
import pytest

from ontime.model_deployment.service.protocol.messages import ClientError
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import PredictProtocol
from ontime.model_deployment.service.protocol.v2 import InferProtocol
from tests.model_deployment.service.protocol.requests import RECORD, infer, predict, tensors


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff", b"[" * 100_000, b'{"instances": [NaN', b"Infinity"])
def test_a_body_that_is_not_a_json_object_is_refused(records: RecordEncoding, body: bytes) -> None:
    for read in (PredictProtocol(records).read, InferProtocol(records).read):
        with pytest.raises(ClientError, match=r"expected|nested too deeply") as refused:
            read(body, {})
        assert refused.value.status == 400


def test_a_missing_number_may_be_written_as_nan(records: RecordEncoding) -> None:
    by_null = predict(records, {"instances": [RECORD | {"weight": None}]})
    np.testing.assert_array_equal(predict(records, {"instances": [RECORD | {"weight": float("nan")}]}), by_null)
    np.testing.assert_array_equal(infer(records, {"inputs": tensors([RECORD | {"weight": float("nan")}])}), by_null)
    assert np.isnan(by_null[0, 0])
