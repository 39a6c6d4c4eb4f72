"""What each row of a table counts, in the column that the features' layout calls `weight`.

A row of weight 2 counts as two rows, one of weight 0 as none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common import paths
from ontime.common.arrays import Weights
from ontime.common.files import read_json, read_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


def weight_column(checkout: Path = Path()) -> str | None:
    """The column of what each row counts; None of a table without."""
    name: str | None = read_json(checkout / paths.FEATURE_LAYOUT).get("weight")
    return name


def load_weights(*parts: str, checkout: Path = Path()) -> Weights | None:
    """The weights (rows,) of `train`, `validation` or `test`, one part after the other; None of a table without."""
    name = weight_column(checkout)
    if name is None:
        return None
    frames = [read_parquet(checkout / paths.split_rows(part), columns=[name]) for part in parts]
    return np.concatenate([frame[name].to_numpy(dtype=np.float64) for frame in frames])


def weights_in(rows: "pd.DataFrame", name: str | None) -> Weights | None:
    """The weights (rows,) in a column of rows; None where it has no name."""
    return None if name is None else rows[name].to_numpy(dtype=np.float64)


def weights_at(weights: Weights | None, chosen: npt.NDArray[Any]) -> Weights | None:
    """The weights of some of the rows, by a mask or by their places; None where there are none."""
    return None if weights is None else weights[chosen]


def counted_target(rows: "pd.DataFrame", target: str, weight: str | None) -> "pd.Series[Any]":
    """The targets of rows that count; missing where the weight is 0."""
    return rows[target] if weight is None else rows[target].mask(rows[weight] == 0)


def weight_fault(parts: "Mapping[str, pd.DataFrame]", name: str) -> str | None:
    """What is wrong with the numbers of a column of weights, which the partitions have by name; None if nothing is."""
    found, total, rows = [], 0.0, 0
    for partition, frame in parts.items():
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        found += [(partition, int(row), values[row]) for row in wrong]
        total, rows = total + values[values > 0].sum(), rows + len(values)
    if found:
        partition, row, value = found[0]
        shown = "no value" if np.isnan(value) else f"{value:g}"
        return (
            f"{name}: weights are finite numbers from 0 on; {len(found)} of {rows} are not, the first in row {row + 1} "
            f"of {partition}: {shown}"
        )
    return None if total > 0 else f"{name}: all {rows} weights are 0, so no row counts"


def size_of(rows: int, weights: Weights | None) -> dict[str, float]:
    """`rows`, and where they have weights `sum_of_weights`, with nine significant digits."""
    return {"rows": rows} | ({} if weights is None else {"sum_of_weights": float(f"{weights.sum():.9g}")})


def weighted_moments(
    numbers: npt.NDArray[np.float64], weights: Weights
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance of the finite values of each column (rows, columns): (columns,) each, 0 where it has none."""
    counted = weights[:, None] * np.isfinite(numbers)
    total = counted.sum(axis=0)
    total[total == 0] = 1
    mean = (counted * np.where(counted > 0, numbers, 0)).sum(axis=0) / total
    return mean, (counted * np.where(counted > 0, numbers - mean, 0) ** 2).sum(axis=0) / total
