"""A table's columns encode as the encoder encodes Python's values, and what does not fit is refused by name."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.common.errors import OntimeError
from ontime.encoder import Encoder
from ontime.model_deployment.batch.columns import (
    RefusedValues,
    added_columns,
    check_columns,
    encode,
    predictions,
)
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.tasks.answers import BinaryAnswer

SCHEMA = pa.schema({"weight": pa.float32(), "depot": pa.string()})
ADDED = ["probability", "decision", "model_version"]
ENCODER = Encoder(("weight",), {"depot": ("north",)})


@pytest.fixture(scope="module")
def champion(signed: Path) -> Champion:
    """The fork's champion: numbers weight and fragile, categories depot and service; only service is required."""
    return load_champion(signed / "model", "1.2.3")


ENCODED = {
    "float32": pa.array([1.5, None, float("nan"), -0.0, 3.4e38], pa.float32()),
    "float64": pa.array([0.1, None, float("nan"), 1e-300, 16777217.0], pa.float64()),
    "float16": pa.array(np.array([0.5, 1, 2, 3, 65504], dtype=np.float16)),
    "int8": pa.array([1, None, -128, 127, 0], pa.int8()),
    "int64": pa.array([9007199254740993, None, -(2**63), 33554435, 0], pa.int64()),
    "uint64": pa.array([2**64 - 1, 0, None, 1, 2], pa.uint64()),
    "boolean": pa.array([True, None, False, True, True]),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("-3.25"), Decimal("0.00"), Decimal("99.99")]),
    "nothing": pa.nulls(5),
}
TEXTS = ["a", "b", None, "", "unseen"]


@pytest.mark.parametrize("name", ENCODED)
def test_numbers_of_every_type_encode_as_the_encoder_does(name: str) -> None:
    encoder = Encoder((name,), {})
    part = pa.RecordBatch.from_pydict({name: ENCODED[name]})
    by_python = encoder.transform({name: ENCODED[name].to_pylist()})
    np.testing.assert_array_equal(encode(part, encoder), by_python)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 2, 3], pa.int8()), ["b", "a", "", "unseen", "unused"]),
        pa.nulls(5),
        pa.array([], pa.string()),
    ],
    ids=lambda column: str(column.type)[:20],
)
@pytest.mark.parametrize("known", [("b", "a"), ("a", ""), ()])
def test_texts_of_every_type_encode_as_the_encoder_does(column: pa.Array, known: tuple[str, ...]) -> None:
    encoder = Encoder((), {"kind": known})
    by_python = encoder.transform({"kind": column.to_pylist()})
    np.testing.assert_array_equal(encode(pa.RecordBatch.from_pydict({"kind": column}), encoder), by_python)


def test_a_feature_table_encodes_as_the_encoder_does(champion: Champion, fork: Path) -> None:
    table = pq.read_table(fork / "data" / "processed" / "features" / "table.parquet")
    frame = table.to_pandas()
    by_python = champion.encoder.transform({name: frame[name].to_numpy() for name in champion.encoder.features})
    np.testing.assert_array_equal(encode(table.combine_chunks().to_batches()[0], champion.encoder), by_python)


def with_column(name: str, column_type: pa.DataType) -> pa.Schema:
    """The columns that fit, with one more."""
    return SCHEMA.append(pa.field(name, column_type))


def with_type(name: str, column_type: pa.DataType) -> pa.Schema:
    """The columns that fit, with one of another type."""
    return SCHEMA.set(SCHEMA.get_field_index(name), pa.field(name, column_type))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (
            pa.schema({"weight": pa.float32()}),
            "no column depot, which the model needs; raw rows are for `ontime predict`",
        ),
        (pa.schema({}), "no column weight, depot, which the model needs; raw rows are for `ontime predict`"),
        (with_type("weight", pa.string()), "column weight: expected numbers, found string"),
        (with_type("weight", pa.timestamp("us")), "column weight: expected numbers, found timestamp[us]"),
        (with_type("depot", pa.binary()), "column depot: expected text, found binary"),
        (
            with_type("depot", pa.dictionary(pa.int8(), pa.int64())),
            "column depot: expected text, found dictionary<values=int64, indices=int8, ordered=0>",
        ),
        (with_column("depot", pa.string()), "column depot occurs 2 times"),
        (with_column("note", pa.int8()).append(pa.field("note", pa.int8())), "column note occurs 2 times"),
        *((with_column(name, pa.int8()), f"column {name} exists already; rename it") for name in ADDED),
    ],
)
def test_a_column_that_does_not_fit_is_refused_by_name(schema: pa.Schema, reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        check_columns(Path("one.parquet"), schema, ENCODER, BinaryAnswer(0.5))
    assert str(refused.value) == f"one.parquet: {reason}"


def test_a_feature_that_is_called_as_an_added_column_can_be_scored() -> None:
    encoder = Encoder(("probability", "decision_"), {})
    schema = pa.schema({"probability": pa.float64(), "decision_": pa.float64()})
    check_columns(Path("one.parquet"), schema, encoder, BinaryAnswer(0.5))
    assert added_columns(encoder, BinaryAnswer(0.5)).names == ["probability_", "decision__", "model_version"]
    assert added_columns(ENCODER, BinaryAnswer(0.5)).names == ADDED


def test_many_missing_columns_are_counted() -> None:
    encoder = Encoder(tuple(f"number_{number}" for number in range(8)), {})
    with pytest.raises(
        OntimeError,
        match=r"no column number_0, .*number_4 and 3 more, which the model needs; raw rows are for `ontime predict`$",
    ):
        check_columns(Path("one.parquet"), pa.schema({}), encoder, BinaryAnswer(0.5))


@pytest.mark.parametrize("column_type", [pa.int8(), pa.float64(), pa.bool_(), pa.decimal128(5, 2), pa.null()], ids=str)
def test_every_type_of_number_fits(column_type: pa.DataType) -> None:
    check_columns(Path("one.parquet"), with_type("weight", column_type), ENCODER, BinaryAnswer(0.5))


def matrix_of(champion: Champion, *records: tuple[Any, ...]) -> Any:
    return champion.encoder.transform_records(records)


def test_refused_values_are_counted_by_feature_over_batches(champion: Champion) -> None:
    refused = RefusedValues(champion)
    complete, lacking = (1, 0, "north", "day"), (2, 0, "north", None)
    assert refused.count(matrix_of(champion, complete, lacking)).tolist() == [False, True]
    assert refused.count(matrix_of(champion, lacking, (None, None, None, "day"))).tolist() == [True, False]
    assert (refused.incomplete_rows, dict(refused.missing)) == (2, {"service": 2})
    assert refused.refused("refuse")
    assert not refused.refused("null")
    assert refused.reason().startswith("missing values where training had none: service in 2 rows; ")
    refused.count(matrix_of(champion, (float("inf"), float("-inf"), "north", "day"), (float("inf"), 0, "north", "day")))
    assert refused.refused("null")
    assert refused.reason() == "values that are not finite float32 numbers: weight in 2 rows, fragile in 1 rows"


def test_an_incomplete_row_has_neither_probability_nor_decision(champion: Champion) -> None:
    matrix = matrix_of(champion, (1, 0, "north", "day"), (9, 1, "north", "night"))
    added = predictions(matrix, np.array([True, False]), champion)
    assert added.schema.names == ADDED
    assert added.column("probability").to_pylist() == [None, champion.predict(matrix)[1]]
    assert added.column("decision").to_pylist() == [
        None,
        bool(champion.answer.values("decision", champion.predict(matrix))[1]),
    ]
    assert added.column("model_version").to_pylist() == ["1.2.3"] * 2
