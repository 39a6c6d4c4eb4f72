"""The past rate of a row's group: what can be said of it without a model."""

import numpy as np
import pandas as pd

from ontime.common.arrays import Probability
from ontime.common.layout import TARGET, own, own_in

PRIOR_ROWS = 20
"""Weight of the base rate in a group's rate, in rows."""
RATE = "(rate)"


def past_rate(train: pd.DataFrame, rows: pd.DataFrame, columns: list[str]) -> Probability:
    """Share of events among the training rows with the same values of `columns`, drawn to the base rate.

    Returns:
        Probability (rows,); the base rate where `columns` is empty or the group is new.
    """
    target, rate = own_in(TARGET, train.columns), own(RATE, columns)
    base = float(train[target].mean())
    if not columns:
        return np.full(len(rows), base)
    groups = train.groupby(columns, dropna=False)[target]
    rates = (groups.sum() + PRIOR_ROWS * base) / (groups.size() + PRIOR_ROWS)
    found = rows[columns].merge(rates.reset_index(name=rate), on=columns, how="left")[rate]
    return found.fillna(base).to_numpy(dtype=np.float64)
