"""Which run is champion, by one validation metric; it must beat both baselines.

In: `metrics/validation.json` of every run and of the baselines. Out: `models/selection.json`.
"""

from collections.abc import Mapping
from typing import Any, Literal

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, write_json
from ontime.common.params import Section, load_section
from ontime.model_training.families import FAMILIES
from ontime.tasks.task import load_task

LESS_IS_BETTER = {"log_loss", "brier_score", "rmse", "mae"}


class Select(Section):
    """The validation metric that decides."""

    metric: Literal["roc_auc", "pr_auc", "log_loss", "brier_score", "rmse", "mae", "r2"]


@click.command(name="select")
def command() -> None:
    """Choose the champion by its validation metric."""
    metric, task = load_section("select", Select).metric, load_task()
    if metric not in task.metrics:
        raise OntimeError(
            f"params.yaml: select.metric: {metric}: no metric of a {task.name} task; known: {', '.join(task.metrics)}"
        )
    runs, baselines = (
        {name: read_json(paths.training_run(name) / "metrics" / "validation.json") for name in names}
        for names in (FAMILIES[task.name], task.baselines)
    )
    write_json(paths.SELECTION, select(runs, baselines, metric))


def select(
    runs: Mapping[str, Mapping[str, float]], baselines: Mapping[str, Mapping[str, float]], metric: str
) -> dict[str, Any]:
    """Rank runs by a validation metric.

    Returns:
        Champion, metric, its value, the lead over the second, and every candidate's value, best first.

    Raises:
        OntimeError: a baseline is at least as good as the best run.
    """
    sign = -1 if metric in LESS_IS_BETTER else 1
    ranked = sorted(runs, key=lambda name: (-sign * runs[name][metric], name))
    champion, value = ranked[0], runs[ranked[0]][metric]
    for name, summary in baselines.items():
        if sign * summary[metric] >= sign * value:
            raise OntimeError(
                f"no champion: baseline {name} has validation {metric} {summary[metric]}, "
                f"the best run {champion} {value}; improve features or parameters"
            )
    second = runs[ranked[1]][metric] if len(ranked) > 1 else value
    return {
        "champion": champion,
        "metric": metric,
        "value": value,
        "lead": round(abs(value - second), 6),
        "candidates": {name: runs[name][metric] for name in ranked},
        "baselines": {name: summary[metric] for name, summary in baselines.items()},
    }
