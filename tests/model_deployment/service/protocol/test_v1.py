"""A wrong version 1 request is refused with the field and what was expected."""

import json
from typing import Any

import pytest

from ontime.model_deployment.service.protocol.messages import ClientError
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import ExplainProtocol, PredictProtocol
from tests.model_deployment.service.protocol.requests import FEATURES, RECORD, predict


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
        ({"instances": [RECORD], "keys": []}, "keys: expected 1 values, one per row, found 0"),
        ({"instances": [[1, 1, 2, 2]], "keys": ["a", "b"]}, "keys: expected 1 values, one per row, found 2"),
        ({"inputs": {name: [RECORD[name]] for name in FEATURES}, "keys": ["a"] * 2}, "keys: expected 1 values"),
        ({"instances": [RECORD], "keys": "a"}, "keys: expected `array`, got `str`"),
        ({"instances": [RECORD, RECORD], "keys": ["a", 7]}, "keys[1]: expected `str | null`, got `int`"),
        ({"instances": [RECORD], "keys": ["a" * 257]}, "keys[0]: expected `str` of length <= 256"),
        ({"inputs": {"weight": [1]}}, "inputs: object missing required field `fragile`"),
        (
            {"inputs": {"weight": [1, 2], "fragile": [1, 0], "depot": ["north"], "service": ["day", "day"]}},
            "inputs.depot: expected 2 values, found 1",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(records: RecordEncoding, content: Any, reason: str) -> None:
    with pytest.raises(ClientError) as refused:
        predict(records, content)
    assert reason in str(refused.value)
    assert refused.value.status == (413 if "at most" in reason else 400)


@pytest.mark.parametrize(
    "keys", [["a", None], ["2013-07-01T10:00:00Z/UA/1545", "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 256], None]
)
def test_rows_have_the_keys_that_the_caller_sends_in_each_form(records: RecordEncoding, keys: Any) -> None:
    more = {} if keys is None else {"keys": keys}
    forms: list[dict[str, Any]] = [
        {"instances": [RECORD, RECORD]},
        {"instances": [[1, 1, 2, 2], [1, 1, 2, 2]]},
        {"inputs": {name: [RECORD[name]] * 2 for name in FEATURES}},
        {"instances": [RECORD, RECORD | {"depot": None, "weight": float("nan")}]},
    ]
    protocol = PredictProtocol(records)
    for read in (protocol.read, ExplainProtocol(protocol).read):
        assert [read(json.dumps(form | more).encode(), {})[2] for form in forms] == [keys] * 4
