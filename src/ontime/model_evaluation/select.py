"""Which run is champion, by one metric; it must beat both baselines by more than chance.

In: `metrics/validation.json` of every run and of the baselines, the probabilities of the validation rows, and these
rows; with `split.folds` above 1, in their place `out_of_fold.parquet` of every run, and the training rows. Out:
`models/selection.json`.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal

import click
import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Outputs
from ontime.common.errors import OntimeError
from ontime.common.files import column_names, read_json, read_parquet, write_json
from ontime.common.layout import own_in
from ontime.common.params import Section, load_section
from ontime.common.weights import load_weights
from ontime.model_evaluation.baseline_answers import baseline_answers
from ontime.model_evaluation.out_of_fold import OutOfFold, read_out_of_fold
from ontime.model_evaluation.resampling import LESS_IS_BETTER, Score, Times, resamples, score_of
from ontime.model_evaluation.settings import Evaluate
from ontime.model_training.families import Train, families_of
from ontime.tasks.task import Task, from_column, load_task

CONFIDENCE = 0.95
RESAMPLES, SEED = 200, 0
"""200 resamples are enough for a standard error (Efron and Tibshirani 1993, chapter 6)."""


class Select(Section):
    """The validation metric that decides."""

    metric: Literal[
        "roc_auc", "pr_auc", "log_loss", "brier_score", "roc_auc_ovr", "accuracy", "f1_macro", "rmse", "mae", "r2"
    ]


@click.command(name="select")
def command() -> None:
    """Choose the champion by its metric on validation rows or folds."""
    metric, task = load_section("select", Select).metric, load_task()
    if metric not in task.metrics:
        raise OntimeError(
            f"params.yaml: select.metric: {metric}: no metric of a {task.name} task; known: {', '.join(task.metrics)}"
        )
    families = families_of(task.name, load_section("train", Train))
    runs, baselines = (
        {name: read_json(paths.training_run(name) / "metrics" / "validation.json") for name in names}
        for names in (families, task.baselines)
    )
    group = load_section("evaluate", Evaluate).baseline_group
    if folds := read_out_of_fold(families, group, task):
        write_json(paths.SELECTION, _select_by_folds(folds, runs, list(baselines), metric, task))
        return
    target, answers = baseline_answers("validation", group, task)
    for name in families:
        answers[name] = _outputs(name, task.output)
    weights = load_weights("validation")
    scores = {name: score_of(metric, target, outputs, weights) for name, outputs in answers.items()}
    columns = _resampled(scores, _groups(["validation"]))
    write_json(paths.SELECTION, select(runs, baselines, metric, columns, task.rounded))


def _select_by_folds(
    folds: OutOfFold, runs: Mapping[str, Mapping[str, float]], baselines: list[str], metric: str, task: Task
) -> dict[str, Any]:
    """What `select` says of the metric's means over the folds, with the value of each, and those on validation rows."""
    scores = {name: folds.score(metric, name) for name in (*runs, *baselines)}
    groups = np.unique(_groups(paths.FITTED_PARTS)[folds.place], return_inverse=True)[1]
    columns = _resampled(scores, groups)
    once = np.ones_like(groups)
    means = {name: {metric: task.rounded(score(once))} for name, score in scores.items()}
    of_runs, of_baselines = ({name: means[name] for name in names} for names in (runs, baselines))
    selection = select(of_runs, of_baselines, metric, columns, task.rounded, "cross-validated")
    ranked = selection["candidates"]
    return selection | {
        "folds": len(np.unique(folds.fold)),
        "rows": len(folds.fold),
        "values_by_fold": {name: [task.rounded(value) for value in folds.by_fold(metric, name)] for name in ranked},
        "validation_values": {name: runs[name][metric] for name in ranked},
    }


def _resampled(scores: Mapping[str, Score], groups: Times) -> dict[str, Outputs]:
    """Each metric on the same resamples of groups: (resamples,)."""
    drawn = [[score(times) for score in scores.values()] for times in resamples(groups, RESAMPLES, SEED)]
    return dict(zip(scores, np.array(drawn).T, strict=True))


def _outputs(model: str, output: str) -> Outputs:
    """What a run says of the validation rows; `output` is what the column is called."""
    path = paths.training_run(model) / "predictions" / "validation.parquet"
    column = own_in(output, column_names(path))
    return from_column(read_parquet(path, columns=[column])[column])


def _groups(parts: Sequence[str]) -> Times:
    """Which group each row (rows,) of the parts is drawn with: its own, or that of the split, numbered from 0."""
    group, files = read_json(paths.FEATURE_LAYOUT).get("group"), [paths.split_rows(part) for part in parts]
    column = group or column_names(files[0])[0]
    values = pd.concat([read_parquet(path, columns=[column])[column] for path in files], ignore_index=True)
    return np.unique(values.astype("str"), return_inverse=True)[1] if group else np.arange(len(values))


def select(
    runs: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, Mapping[str, float]],
    metric: str,
    resampled: Mapping[str, Outputs],
    rounded: Callable[[float], float],
    judged: str = "validation",
) -> dict[str, Any]:
    """Choose among the runs that beat every baseline by more than chance, and rank all by a validation metric.

    A run beats a baseline if the interval of the difference, from the standard error over the resamples, is above zero.
    As the best of several runs is asked for, the interval is at 95 % for all of them together (Dunn 1961, "Multiple
    comparisons among means"). Of the runs that are within one standard error of the best, the simplest is champion
    (Breiman et al. 1984, "Classification and regression trees": the one standard error rule).

    Args:
        runs: summaries by family, from the simplest on.
        resampled: by name of a run or baseline, its metric on each resample of the rows, NaN where it has
            none: (resamples,).
        rounded: a difference of values as files keep it.
        judged: what kind of metric it is, for the error.

    Returns:
        Champion, metric, its value, the lead over the best other run (negative if that is better and less simple),
        every candidate's value, best first, the baselines' values, the interval of the champion's lead over each, and
        the runs that are as good as the best.

    Raises:
        OntimeError: no run is better than a baseline by more than chance.
    """
    sign, simplicity = -1 if metric in LESS_IS_BETTER else 1, list(runs)
    values = {name: summary[metric] for name, summary in {**runs, **baselines}.items()}
    width = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(runs))

    def lead(one: str, other: str) -> float:
        return sign * (values[one] - values[other])

    def error(one: str, other: str) -> float:
        return float(np.nanstd(resampled[one] - resampled[other], ddof=1))

    ranked = sorted(runs, key=lambda name: (-sign * values[name], simplicity.index(name)))
    sure = [name for name in ranked if all(lead(name, other) > width * error(name, other) for other in baselines)]
    if not sure:
        best = ranked[0]
        other = min(baselines, key=lambda name: lead(best, name) - width * error(best, name))
        raise OntimeError(
            f"no champion: baseline {other} has {judged} {metric} {values[other]}, the best run {best} "
            f"{values[best]}, which {_chance(lead(best, other), width * error(best, other))}; "
            "add rows or better features"
        )
    tied = [name for name in sure if lead(sure[0], name) <= error(sure[0], name)]
    champion = min(tied, key=simplicity.index)
    others = [name for name in ranked if name != champion]
    return {
        "champion": champion,
        "metric": metric,
        "value": values[champion],
        "lead": rounded(lead(champion, others[0])) if others else 0.0,
        "candidates": {name: values[name] for name in ranked},
        "baselines": {name: values[name] for name in baselines},
        "leads_over_baselines": {
            name: [rounded(lead(champion, name) + part * width * error(champion, name)) for part in (-1, 1)]
            for name in baselines
        },
        "as_good_as_the_best": tied,
    }


def _chance(lead: float, half: float) -> str:
    if lead <= 0:
        return "is no better"
    return f"may be chance: better by {lead:.3g}, give or take {half:.3g}"
