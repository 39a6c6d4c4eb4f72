"""What a champion takes with it for the labels that come later: limits of the series, and what needs no model."""

import numpy as np

from ontime.common import paths
from ontime.common.files import column_names, read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.datasets.keys import key_text
from ontime.model_deployment.export.label_series import GroupRate, LabelReference, limits_of, sums_by_day
from ontime.model_deployment.export.label_sums import measures_of
from ontime.model_deployment.export.rounding import rounded
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.metrics import best_threshold
from ontime.model_evaluation.settings import Decision
from ontime.tasks.task import Task


def label_reference(
    time: str, slices: list[str], group: list[str], decision: Decision | None, task: Task
) -> LabelReference:
    """Measure the series on the rows of the stage `forward`, without the first and the last day, which may be cut.

    Args:
        time: the column of UTC times; slices: columns whose values are segments.
        group: columns of the group whose past rate is a baseline.
        decision: what mistakes cost; None of a model that does not warn.
    """
    rows, measures = read_parquet(paths.FORWARD), measures_of(task.name, task.classes)
    days = sums_by_day(rows, time, [name for name in slices if name in rows], measures)
    found = limits_of(list(days.values())[1:-1], measures)
    return found.model_copy(update={"group_rate": group_rate(group, decision)}) if decision else found


def group_rate(group: list[str], decision: Decision) -> GroupRate:
    """The past rate of each group of the training rows, and the threshold that is cheapest on validation rows."""
    target = own_in(TARGET, column_names(paths.split_rows("train")))
    train, validation = (
        read_parquet(paths.split_rows(part), columns=[*group, target]).astype({target: "int8"})
        for part in paths.FITTED_PARTS
    )
    labels = validation[target].to_numpy(dtype=np.int8)
    threshold = best_threshold(labels, past_rate(train, validation, group), decision)
    known = train[group].drop_duplicates().dropna() if group else train[[]].iloc[:0]
    names = key_text(known, group).tolist() if group else []
    rates = {str(name): rounded(rate) for name, rate in zip(names, past_rate(train, known, group), strict=True)}
    base = float(train[target].mean())
    return GroupRate(columns=group, threshold=rounded(threshold), base=rounded(base), rates=dict(sorted(rates.items())))
