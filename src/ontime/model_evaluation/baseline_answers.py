"""What a task's baselines say of the rows of a part: always the past mean, and the past mean of the row's group."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Outputs, Target
from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.common.weights import weight_column
from ontime.model_evaluation.group_rate import past_rate
from ontime.tasks.task import Task, target_of


def baseline_answers(part: str, group: list[str], task: Task) -> tuple[Target, dict[str, Outputs]]:
    """Targets (rows,) of `validation` or `test`, and what each baseline says of the rows.

    Args:
        group: the columns of `evaluate.baseline_group`.
    """
    weight = weight_column()
    train, rows = read_rows(["train"], group, weight), read_rows([part], group, weight)
    return target_of(rows), answers_of(train, rows, group, task, weight)


def answers_of(
    train: pd.DataFrame, rows: pd.DataFrame, group: list[str], task: Task, weight: str | None
) -> dict[str, Outputs]:
    """What each baseline says of rows by the training rows, both as `read_rows` gives them."""
    columns = zip(task.baselines, ([], group), strict=True)
    return {name: _answer(train, rows, names, task, weight) for name, names in columns}


def _answer(
    train: pd.DataFrame, rows: pd.DataFrame, names: list[str], task: Task, weight: str | None = None
) -> Outputs:
    target = own_in(TARGET, train.columns)
    found = [past_rate(train.assign(**{target: one}), rows, names, weight) for one in task.means(train[target])]
    return found[0] if len(found) == 1 else np.column_stack(found)


def read_rows(parts: Iterable[str], group: list[str], weight: str | None) -> pd.DataFrame:
    """Targets, any weights, and the columns of `evaluate.baseline_group` of the rows of one or more parts."""
    rows = pd.concat([read_parquet(paths.split_rows(part)) for part in parts], ignore_index=True)
    absent = [name for name in group if name not in rows]
    if absent:
        raise OntimeError(f"params.yaml: evaluate.baseline_group: no column {absent[0]} among the features")
    target = own_in(TARGET, rows.columns)
    return rows[list(dict.fromkeys([*group, *([weight] if weight else []), target]))]
