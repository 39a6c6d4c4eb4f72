"""A line of the log says what happened by name, and is read back by its type."""

import json

import msgspec
import pytest

from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine

PREDICTION = PredictionLine(
    "2024-01-01T00:00:00.000+00:00", "prediction", "a", 0, "parcels", "1.2.3", 0.25, False, {"weight": float("nan")}
)
REQUEST = RequestLine("2024-01-01T00:00:00.000+00:00", "request", "a", "POST", "/v2", 200, 0.5)


def test_a_prediction_has_its_fields_in_order_and_null_for_a_missing_number() -> None:
    assert list(json.loads(msgspec.json.encode(PREDICTION)).items()) == [
        ("time", "2024-01-01T00:00:00.000+00:00"),
        ("event", "prediction"),
        ("request_id", "a"),
        ("row", 0),
        ("model", "parcels"),
        ("model_version", "1.2.3"),
        ("probability", 0.25),
        ("decision", False),
        ("features", {"weight": None}),
    ]


def test_a_request_line_is_read_back_as_it_was_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(REQUEST), type=RequestLine) == REQUEST


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"event": "prediction"}', "missing required field `time`"),
        (
            msgspec.json.encode(PREDICTION).replace(b"0.25", b'"0.25"'),
            r"Expected `float \| array`, got `str` - at `\$.prob",
        ),
        (msgspec.json.encode(REQUEST), "missing required field `row`"),
    ],
)
def test_a_line_of_another_kind_is_not_read_as_a_prediction(line: bytes, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.json.decode(line, type=PredictionLine)


@pytest.mark.parametrize("line", [PREDICTION, REQUEST])
def test_a_line_of_a_trace_says_which_and_a_line_of_none_leaves_it_out(line: PredictionLine | RequestLine) -> None:
    traced = msgspec.structs.replace(line, trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7")
    added = b',"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}'
    assert msgspec.json.encode(traced) == msgspec.json.encode(line)[:-1] + added
    assert msgspec.json.decode(msgspec.json.encode(traced), type=type(line)).trace_id == traced.trace_id
    assert msgspec.json.decode(msgspec.json.encode(line), type=type(line)).span_id is msgspec.UNSET


def test_a_line_without_features_is_read_back_as_it_was_written() -> None:
    shadow = msgspec.structs.replace(PREDICTION, event="shadow", features=msgspec.UNSET)
    written = msgspec.json.encode(shadow)
    assert b"features" not in written
    assert msgspec.json.decode(written, type=PredictionLine) == shadow
