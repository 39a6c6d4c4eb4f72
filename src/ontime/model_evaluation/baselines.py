"""Two answers that need no model, judged like one: always the base rate, and the past rate of the row's group.

In: train, validation and test rows, `evaluate.baseline_group`. Out: `metrics/{validation,test}.json`
of the runs `base_rate` and `group_rate`.
"""

import click
import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Labels
from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet, write_json
from ontime.common.layout import TARGET, own_in
from ontime.common.params import load_section
from ontime.common.paths import BASELINES
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.metrics import Decision, Evaluate, best_threshold, summarize


@click.command(name="baselines")
def command() -> None:
    """Judge the base rate and the group's past rate on validation and test."""
    decision = load_section("decision", Decision)
    group = load_section("evaluate", Evaluate).baseline_group
    train = _rows("train", group)
    for name, columns in zip(BASELINES, ([], group), strict=True):
        validation = _rows("validation", group)
        threshold = best_threshold(_labels(validation), past_rate(train, validation, columns), decision)
        for part in ("validation", "test"):
            rows = _rows(part, group)
            summary = summarize(_labels(rows), past_rate(train, rows, columns), threshold, decision)
            write_json(paths.training_run(name) / "metrics" / f"{part}.json", summary)


def _rows(part: str, group: list[str]) -> pd.DataFrame:
    rows = read_parquet(paths.split_rows(part))
    absent = [name for name in group if name not in rows]
    if absent:
        raise OntimeError(f"params.yaml: evaluate.baseline_group: no column {absent[0]} among the features")
    target = own_in(TARGET, rows.columns)
    return rows[list(dict.fromkeys([*group, target]))].astype({target: "int8"})


def _labels(rows: pd.DataFrame) -> Labels:
    return rows[own_in(TARGET, rows.columns)].to_numpy(dtype=np.int8)
