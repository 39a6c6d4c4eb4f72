"""What the model was worth on a part of the rows: by month, by slice, and as curves.

Validation rows are judged by the run that they chose, test rows by the model that is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ontime.common import paths
from ontime.common.files import read_parquet
from ontime.common.layout import Layout
from ontime.common.weights import load_weights
from ontime.data_processing.split import Split
from ontime.encoder import Encoder
from ontime.model_evaluation.judge import Judge
from ontime.model_evaluation.metrics import as_stored
from ontime.model_evaluation.publish import large_slices
from ontime.model_training.families import Predict
from ontime.model_training.rows import load_rows

MOST_MONTHS = 24
"""Above that, years are shown."""
PERIOD = "period"


@dataclass(frozen=True)
class Part:
    """Metrics of each period in its order and of each slice, as the task's judge gives them, and its curves."""

    name: str
    periods: pd.DataFrame | None
    slices: pd.DataFrame
    curves: Mapping[str, pd.DataFrame]


def judged_part(
    name: str,
    predict: Predict,
    encoder: Encoder,
    judge: Judge,
    rule: Mapping[str, float],
    slices: list[str],
    layout: Layout,
    split: Split,
    least: int,
) -> Part:
    """Judge one part of the rows; groups of fewer than `least` rows are left out."""
    (matrix, target), weights = load_rows(name, encoder), load_weights(name)
    outputs = as_stored(predict(matrix))
    times = [layout.time] if layout.time else []
    rows = read_parquet(paths.split_rows(name), columns=list(dict.fromkeys([*slices, *times])))
    table = large_slices(judge.by_slice(rows, slices, target, outputs, rule, weights), slices, least)
    periods = None
    if layout.time:
        named = pd.DataFrame({PERIOD: period_names(rows[layout.time], split)})
        judged = large_slices(judge.by_slice(named, [PERIOD], target, outputs, rule, weights), [PERIOD], least)
        periods = judged.sort_values("slice", kind="stable", ignore_index=True)
    return Part(name, periods, table, judge.curves(target, outputs, weights))


def period_names(times: "pd.Series[Any]", split: Split) -> "pd.Series[Any]":
    """The month of each time, or its year where they would be too many.

    A day begins at the hour at which validation does, because that is midnight where the rows are from.
    """
    if split.validation_from is not None:
        begin = pd.Timestamp(split.validation_from)
        times = times - (begin - begin.floor("D"))
    months: pd.Series[Any] = times.dt.strftime("%Y-%m")
    years: pd.Series[Any] = times.dt.strftime("%Y")
    return months if months.nunique() <= MOST_MONTHS else years
