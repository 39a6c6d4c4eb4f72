"""Each segment's rows and missing values are counted, whatever the division of the rows into parts."""

from typing import Any

import numpy as np

from ontime.encoder import Encoder
from ontime.monitoring.segments import Segments

ENCODER = Encoder(("weight", "age"), {"depot": ("north", "south"), "kind": ("a",)})
COLUMNS: dict[str, list[Any]] = {
    "weight": [1.0, np.nan, np.nan, 1.0, 1.0, 1.0],
    "age": [1.0, 2.0, 3.0, 4.0, np.nan, 6.0],
    "depot": ["north", "south", "south", None, "overseas", "north"],
    "kind": ["a", "a", None, "a", "a", "b"],
}


def test_rows_and_missing_values_are_those_of_each_segment() -> None:
    matrix = ENCODER.transform(COLUMNS)
    whole, parts = Segments(ENCODER, ["depot", "weight", "month"]), Segments(ENCODER, ["depot"])
    whole.count(matrix)
    for part in np.split(matrix, [1, 4]):
        parts.count(part)
    found = whole.as_json()
    assert found == parts.as_json()
    assert {name: one["rows"] for name, one in found.items()} == {
        "depot=(unknown)": 1,
        "depot=(missing)": 1,
        "depot=north": 2,
        "depot=south": 2,
    }
    assert found["depot=south"] == {
        "rows": 2,
        "share": 0.333333,
        "missing": (1 + 0 + 0 + 0.5) / 4,
        "most_missing": {"input": "weight", "missing": 1.0},
    }
    assert found["depot=north"] == {"rows": 2, "share": 0.333333, "missing": 0.0, "most_missing": None}
    assert found["depot=(unknown)"]["most_missing"] == {"input": "age", "missing": 1.0}


def test_a_model_without_such_a_category_has_no_segments() -> None:
    segments = Segments(ENCODER, ["weight"])
    segments.count(ENCODER.transform(COLUMNS))
    assert segments.as_json() == {}
