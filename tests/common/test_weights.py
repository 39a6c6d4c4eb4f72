"""What a column of weights may hold, and what is told of one that holds something else."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.layout import TARGET
from ontime.common.weights import counted_target, size_of, weight_fault


def fault(*parts: list[Any]) -> str | None:
    return weight_fault({f"p{place}": pd.DataFrame({"w": values}) for place, values in enumerate(parts)}, "w")


@pytest.mark.parametrize("values", [[1.0, 0.0], [0, 3], pd.array([0, 2], dtype="Int64"), [1e-300, 1e300]])
def test_numbers_from_0_on_of_which_one_is_positive_are_weights(values: Any) -> None:
    assert weight_fault({"p": pd.DataFrame({"w": values})}, "w") is None


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([[1.0, -2.5, -1.0]], "2 of 3 are not, the first in row 2 of p0: -2.5"),
        ([[1.0], [2.0, np.nan, -1.0]], "2 of 4 are not, the first in row 2 of p1: no value"),
        ([[np.inf]], "1 of 1 are not, the first in row 1 of p0: inf"),
        ([pd.array([1, None], dtype="Int64")], "1 of 2 are not, the first in row 2 of p0: no value"),
    ],
)
def test_anything_else_is_told_in_one_line_with_its_count_and_the_first_row(parts: list[Any], told: str) -> None:
    assert fault(*parts) == f"w: weights are finite numbers from 0 on; {told}"


def test_weights_of_which_none_is_positive_are_refused() -> None:
    assert fault([0.0, 0.0], [0.0]) == "w: all 3 weights are 0, so no row counts"


def test_a_row_that_does_not_count_has_no_target() -> None:
    rows = pd.DataFrame({TARGET: pd.Series([1, 0, 1], dtype="Int8"), "w": [1.0, 0.0, 2.0]})
    assert counted_target(rows, TARGET, "w").isna().tolist() == [False, True, False]
    assert counted_target(rows, TARGET, None).equals(rows[TARGET])


def test_a_size_has_the_sum_of_the_weights_where_there_are_some() -> None:
    assert size_of(3, None) == {"rows": 3}
    assert size_of(3, np.array([0.1, 0.2, 0.3])) == {"rows": 3, "sum_of_weights": 0.6}
