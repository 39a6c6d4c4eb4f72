"""Two answers that need no model, judged like one: the past mean of all rows, and that of the row's group.

In: train, validation and test rows, `evaluate.baseline_group`. Out: `metrics/{validation,test}.json`
of the two runs that the task names; of an event, the mean is the rate.
"""

import click
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet, write_json
from ontime.common.layout import TARGET, own_in
from ontime.common.params import load_section
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.metrics import Evaluate
from ontime.tasks.task import load_task, target_of


@click.command(name="baselines")
def command() -> None:
    """Judge the past mean and the group's past mean on validation and test."""
    task = load_task()
    judge = judge_of(task.name)
    group = load_section("evaluate", Evaluate).baseline_group
    train = _rows("train", group)
    for name, columns in zip(task.baselines, ([], group), strict=True):
        validation = _rows("validation", group)
        rule = judge.rule(target_of(validation), past_rate(train, validation, columns))
        for part in ("validation", "test"):
            rows = _rows(part, group)
            summary = judge.summarize(target_of(rows), past_rate(train, rows, columns), rule)
            write_json(paths.training_run(name) / "metrics" / f"{part}.json", summary)


def _rows(part: str, group: list[str]) -> pd.DataFrame:
    rows = read_parquet(paths.split_rows(part))
    absent = [name for name in group if name not in rows]
    if absent:
        raise OntimeError(f"params.yaml: evaluate.baseline_group: no column {absent[0]} among the features")
    target = own_in(TARGET, rows.columns)
    return rows[list(dict.fromkeys([*group, target]))]
