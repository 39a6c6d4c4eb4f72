"""Golden records are read whole or refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.encoder import Encoder
from ontime.model_deployment.inference.golden import Golden, read_golden

ENCODER = Encoder(("weight",), {"depot": ("north",)})


def test_records_are_encoded_by_name_whatever_their_order() -> None:
    golden = Golden(records=[{"weight": 2, "depot": "north"}, {"depot": None, "weight": None}], probabilities=[0, 1])
    np.testing.assert_array_equal(golden.matrix(ENCODER), [[2, 2], [np.nan, 1]])


@pytest.mark.parametrize("record", [{}, {"weight": 1}, {"weight": 1, "depot": None, "more": 1}])
def test_a_record_of_other_features_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(OntimeError, match=r"records\.0: its features are not those of the model"):
        Golden(records=[record], probabilities=[0.5]).matrix(ENCODER)


def test_a_number_that_is_a_text_is_refused() -> None:
    with pytest.raises(OntimeError, match=r"^golden\.json: records: could not convert string to float: 'heavy'$"):
        Golden(records=[{"weight": "heavy", "depot": None}], probabilities=[0.5]).matrix(ENCODER)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "records: field required"),
        ([], "top level: input should be a valid dictionary"),
        ({"records": [], "probabilities": []}, "records: list should have at least 1 item"),
        ({"records": [5], "probabilities": [0.5]}, "records.0: input should be a valid dictionary"),
        ({"records": [{"a": [1]}], "probabilities": [0.5]}, "records.0.a.int: input should be a valid integer"),
        ({"records": [{"a": 1}], "probabilities": ["half"]}, "probabilities.0.float: input should be a valid number"),
        ({"records": [{"a": 1}], "probabilities": []}, "1 records but 0 probabilities"),
    ],
)
def test_what_is_not_golden_records_is_refused(
    folder: Path, change_json: Callable[[str, Callable[[Any], Any]], None], content: Any, reason: str
) -> None:
    change_json("golden.json", lambda _: content)
    with pytest.raises(OntimeError) as refused:
        read_golden(folder)
    assert str(refused.value).startswith(f"{folder / 'golden.json'}: not golden records: {reason}")
    assert "\n" not in str(refused.value)
