"""A table of what is measured of the rows with one value of a column, for each value of some columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.weights import size_of, weights_at


def slice_table(
    rows: pd.DataFrame,
    columns: list[str],
    target: Target,
    outputs: Outputs,
    weights: Weights | None,
    names: Sequence[str],
    figures: Callable[[Target, Outputs, Weights | None], Mapping[str, Any]],
) -> pd.DataFrame:
    """The figures of each value of each column, called `column=value` in `slice`, with its size; most rows first.

    Args:
        names: of the figures, for a table without a slice; figures: of the rows of a slice.
    """
    found = []
    for name, part in slice_values(rows, columns, weights):
        counts = weights_at(weights, part)
        size = size_of(int(part.sum()), counts)
        found.append({"slice": name, **size, **figures(target[part], outputs[part], counts)})
    return pd.DataFrame(found, columns=["slice", *size_of(0, weights), *names])


def slice_values(
    rows: pd.DataFrame, columns: list[str], weights: Weights | None = None
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Each value of each column, as `column=value`, and which rows (rows,) have it; most rows first.

    A value of whose rows none counts is left out.
    """
    for column in columns:
        values = rows[column].astype("str").fillna("(missing)").to_numpy()
        names, counts = np.unique(values.astype(str), return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")]:
            if weights is None or weights[values == name].any():
                yield f"{column}={name}", values == name
