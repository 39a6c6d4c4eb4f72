"""Codes of categories, missing numbers and the order of the matrix's columns."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.encoder import FIRST_CATEGORY, MISSING, UNKNOWN, Encoder

VOCABULARY: dict[str, Any] = {
    "numbers": ["size", "age"],
    "categories": {"kind": ["b", "a"], "place": []},
    "may_be_missing": ["size"],
}


@pytest.fixture
def encoder() -> Encoder:
    return Encoder.from_vocabulary(VOCABULARY)


def test_numbers_come_first_and_each_category_has_one_column(encoder: Encoder) -> None:
    assert encoder.features == ["size", "age", "kind", "place"]
    assert encoder.category_sizes == [4, 2]


def test_codes_follow_the_vocabulary_after_unknown_and_missing(encoder: Encoder) -> None:
    columns: dict[str, Any] = {
        "size": [1, None, 2.5, -0.0, 1],
        "age": np.array([np.nan, 1, 2, 3, 4], dtype=np.float32),
        "kind": ["a", "b", None, float("nan"), "A"],
        "place": np.array(["x", None, "", "y", pd.NA], dtype=object),
    }
    matrix = encoder.transform(columns)
    expected = [
        [1, np.nan, FIRST_CATEGORY + 1, UNKNOWN],
        [np.nan, 1, FIRST_CATEGORY, MISSING],
        [2.5, 2, MISSING, UNKNOWN],
        [0, 3, MISSING, UNKNOWN],
        [1, 4, UNKNOWN, MISSING],
    ]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, dtype=np.float32))


def test_lists_arrays_and_frames_encode_alike(encoder: Encoder) -> None:
    frame = pd.DataFrame(
        {"age": [1, 2], "place": ["x", None], "size": [0.1, None], "kind": ["a", None], "more": [0, 0]}
    )
    by_array = encoder.transform({name: frame[name].to_numpy() for name in encoder.features})
    by_list = encoder.transform({"size": [0.1, None], "age": [1, 2], "kind": ["a", None], "place": ["x", None]})
    np.testing.assert_array_equal(by_array, by_list)


def test_a_categorical_encodes_like_its_values(encoder: Encoder) -> None:
    values = pd.Series(["b", None, "unseen", "a", "b"], dtype="string")
    categorical: Any = pd.Categorical(values, categories=["unseen", "a", "unused", "b"])
    others: dict[str, Any] = {"size": range(5), "age": range(5), "place": [None] * 5}
    by_values = encoder.transform({**others, "kind": values.to_numpy()})
    np.testing.assert_array_equal(encoder.transform({**others, "kind": categorical}), by_values)
    empty: Any = pd.Categorical([None] * 5)
    assert encoder.transform({**others, "kind": empty})[:, 2].tolist() == [MISSING] * 5


def test_a_row_encodes_alike_alone_and_among_others(encoder: Encoder) -> None:
    columns: dict[str, list[Any]] = {"size": [1.1, None], "age": [2, 3], "kind": ["b", "c"], "place": [None, "x"]}
    alone = [encoder.transform({name: [values[row]] for name, values in columns.items()}) for row in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(alone), encoder.transform(columns))


def test_records_encode_like_columns(encoder: Encoder) -> None:
    records = [(1, 2.5, "a", "x"), (None, 1, "b", None), (0.1, None, None, ""), (7, 16777217, "A", "y")]
    columns = {name: [record[place] for record in records] for place, name in enumerate(encoder.features)}
    np.testing.assert_array_equal(encoder.transform_records(records), encoder.transform(columns))
    np.testing.assert_array_equal(encoder.transform_records(records[:1]), encoder.transform_records(records)[:1])


def test_no_rows_make_an_empty_matrix(encoder: Encoder) -> None:
    assert encoder.transform_records([]).shape == (0, 4)
    assert encoder.transform({name: [] for name in encoder.features}).shape == (0, 4)


def test_categories_alone_and_numbers_alone_are_enough() -> None:
    assert Encoder((), {"kind": ("a",)}).transform({"kind": ["a"]}).tolist() == [[2.0]]
    assert Encoder(("size",), {}).transform({"size": [3]}).tolist() == [[3.0]]


def test_a_text_has_its_known_words_after_the_codes_and_its_terms_at_the_end() -> None:
    vocabulary = VOCABULARY | {"texts": {"note": {"dry": 1.0, "dry sand": 2.0}, "more": {"x": 1.0}}}
    encoder = Encoder.from_vocabulary(vocabulary)
    assert encoder.features == ["size", "age", "kind", "place", "note", "more"]
    assert (encoder.width, encoder.feature_of.tolist()) == (9, [0, 1, 2, 3, 4, 5, 4, 4, 5])
    assert encoder.coded == slice(2, 4)
    records = [(1, 2, "a", None, "Dry sand!", "y"), (1, 2, "a", None, None, "X x")]
    matrix = encoder.transform_records(records)
    known, weights = matrix[:, 4:6], matrix[:, 6:]
    np.testing.assert_array_equal(known, np.array([[1, 0], [np.nan, 2]], dtype=np.float32))
    np.testing.assert_allclose(weights, np.array([[5**-0.5, 2 * 5**-0.5, 0], [0, 0, 1]]), rtol=1e-6)
    columns = {name: [record[place] for record in records] for place, name in enumerate(encoder.features)}
    np.testing.assert_array_equal(encoder.transform(columns), matrix)
    assert encoder.transform_records([]).shape == (0, 9)


@pytest.mark.parametrize("value", ["1.5", "many"])
def test_a_text_where_a_number_belongs_is_no_category(encoder: Encoder, value: str) -> None:
    columns: dict[str, list[Any]] = {"size": [value], "age": [1], "kind": ["a"], "place": ["x"]}
    if value == "many":
        with pytest.raises(ValueError, match="could not convert"):
            encoder.transform(columns)
    else:
        assert encoder.transform(columns)[0, 0] == 1.5


def test_it_needs_numpy_alone() -> None:
    program = "import sys, ontime.encoder; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for package in ("pandas", "sklearn", "pyarrow", "pydantic", "joblib"):
        assert f"'{package}'" not in done.stdout
