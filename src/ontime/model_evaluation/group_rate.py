"""The past mean of a row's group, of events the past rate: what can be said of it without a model."""

from typing import Any

import numpy as np
import pandas as pd

from ontime.common.arrays import Outputs
from ontime.common.layout import TARGET, own, own_in
from ontime.common.weights import weights_in

PRIOR_ROWS = 20
"""Weight of the mean of all rows in a group's, in rows."""
RATE = "(rate)"


def past_rate(train: pd.DataFrame, rows: pd.DataFrame, columns: list[str], weight: str | None = None) -> Outputs:
    """Mean target of the training rows with the same values of `columns`, drawn to that of all rows.

    Args:
        weight: the column of what each training row counts, if it has one.

    Returns:
        Outputs (rows,); the mean of all rows where `columns` is empty or the group is new.
    """
    target, rate = own_in(TARGET, train.columns), own(RATE, columns)
    numbers, weights = train[target], weights_in(train, weight)
    base = float(numbers.mean() if weights is None else np.average(numbers.to_numpy(np.float64), weights=weights))
    if not columns:
        return np.full(len(rows), base)
    groups = train.groupby(columns, dropna=False)[target]
    sums: pd.Series[Any] = groups.sum()
    sizes: pd.Series[Any] = groups.size()
    if weights is not None:
        names, counts = [train[name] for name in columns], pd.Series(weights, index=train.index)
        sums = (numbers.astype("float64") * counts).groupby(names, dropna=False).sum()
        sizes = counts.groupby(names, dropna=False).sum()
    rates = (sums + PRIOR_ROWS * base) / (sizes + PRIOR_ROWS)
    found = rows[columns].merge(rates.reset_index(name=rate), on=columns, how="left")[rate]
    return found.fillna(base).to_numpy(dtype=np.float64)
