"""The past mean of a row's group, of events the past rate: what can be said of it without a model."""

import numpy as np
import pandas as pd

from ontime.common.arrays import Outputs
from ontime.common.layout import TARGET, own, own_in

PRIOR_ROWS = 20
"""Weight of the mean of all rows in a group's, in rows."""
RATE = "(rate)"


def past_rate(train: pd.DataFrame, rows: pd.DataFrame, columns: list[str]) -> Outputs:
    """Mean target of the training rows with the same values of `columns`, drawn to that of all rows.

    Returns:
        Outputs (rows,); the mean of all rows where `columns` is empty or the group is new.
    """
    target, rate = own_in(TARGET, train.columns), own(RATE, columns)
    base = float(train[target].mean())
    if not columns:
        return np.full(len(rows), base)
    groups = train.groupby(columns, dropna=False)[target]
    rates = (groups.sum() + PRIOR_ROWS * base) / (groups.size() + PRIOR_ROWS)
    found = rows[columns].merge(rates.reset_index(name=rate), on=columns, how="left")[rate]
    return found.fillna(base).to_numpy(dtype=np.float64)
