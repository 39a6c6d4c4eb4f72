"""Folds of the training and validation rows by the rule of the split, for a choice by more than the validation rows.

As scikit-learn's StratifiedKFold and StratifiedGroupKFold; by time as its TimeSeriesSplit, with windows in the newer
half of the training rows and the validation rows as the last one. Test rows are in no fold.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.common.weights import counted_target
from ontime.data_processing.group_split import group_parts
from ontime.data_processing.split import Split, moment, rarest_class
from ontime.tasks.task import Task

OLDEST = 0.5
"""Share of the training rows that are before the first window in time, so that no model has too few rows."""


def assign_folds(rows: pd.DataFrame, layout: Layout, split: Split, task: Task) -> npt.NDArray[np.int64]:
    """Number of the fold of each training and validation row (rows,): 1 to `split.folds`.

    By time, the folds are windows in order, rows of one moment are in one window, and those before the first have 0.

    Raises:
        OntimeError: a fold would be too little for the task.
    """
    fold = _assigned(rows, layout, split, task)
    if lack := _lacking(counted_target(rows, layout.target, layout.weight), fold, split, task):
        most = most_folds(rows, layout, split, task)
        raise OntimeError(
            f"params.yaml: split.folds: {split.folds}: {lack}; "
            f"set {f'{most} or fewer' if most > 1 else '1, which takes the validation rows alone'}, or add rows"
        )
    return fold


def most_folds(rows: pd.DataFrame, layout: Layout, split: Split, task: Task) -> int:
    """The largest number of folds up to `split.folds` of which each is enough for the task; 1 if there is none."""
    target = counted_target(rows, layout.target, layout.weight)
    for folds in range(split.folds, 1, -1):
        fewer = split.model_copy(update={"folds": folds})
        if not _lacking(target, _assigned(rows, layout, fewer, task), fewer, task):
            return folds
    return 1


def _assigned(rows: pd.DataFrame, layout: Layout, split: Split, task: Task) -> npt.NDArray[np.int64]:
    target, folds = rows[layout.target], split.folds
    if split.by == "time" and layout.time:
        return _windows(rows[layout.time], split)
    if split.by == "group" and layout.group:
        shares = {str(number): 1 / folds for number in range(1, folds + 1)}
        found = group_parts(rows[layout.group], rarest_class(target, task), shares, split.seed)
        return found.astype(np.int64)
    random = np.random.default_rng(split.seed)
    order = np.concatenate([random.permutation(members) for members in task.strata(target)])
    fold = np.zeros(len(rows), dtype=np.int64)
    # in turn over all strata, so that sizes differ by one row at most, of a stratum and of all rows
    fold[order] = np.arange(len(order)) % folds + 1
    return fold


def _windows(time: "pd.Series[Any]", split: Split) -> npt.NDArray[np.int64]:
    """The validation rows are the last window; those before it have equally many rows, but for equal moments."""
    boundary = pd.Timestamp(moment(split.validation_from)).tz_convert("UTC")
    earlier = time[time < boundary].sort_values()
    places = [int(len(earlier) * share) for share in np.linspace(OLDEST, 1, split.folds)[:-1]]
    begins = pd.DatetimeIndex([*earlier.iloc[places], boundary])
    return np.asarray(begins.searchsorted(pd.DatetimeIndex(time), side="right"), dtype=np.int64)


def _lacking(target: "pd.Series[Any]", fold: npt.NDArray[np.int64], split: Split, task: Task) -> str | None:
    """What the first fold has that is too little for the task; None if each has enough."""
    first = 0 if split.by == "time" else 1
    faults = ((number, task.fault(target[fold == number])) for number in range(first, split.folds + 1))
    return next((f"fold {number} has {fault}" for number, fault in faults if fault), None)
