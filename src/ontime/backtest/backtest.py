"""Replay the past with each policy of retraining, and say what it would have cost.

In: the labelled rows of `data/processed/features/`, the champion's family and parameters. Out: Markdown tables, and
with `--output` the same as JSON. Days before `split.test_from` decide which policy is best; later days only show it.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from ontime.backtest.fits import Fits, metric_of, past_of
from ontime.backtest.policies import Answers, Policy, all_policies, interval_by_days, replay
from ontime.backtest.tables import markdown
from ontime.common import paths
from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, write_json
from ontime.common.layout import Layout
from ontime.common.params import load_section
from ontime.common.weights import weights_at
from ontime.cores import limit_threads
from ontime.data_processing.split import Split, feature_rows, moment
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.metrics import cost_per_1000
from ontime.model_evaluation.resampling import score_of
from ontime.model_evaluation.select import Select
from ontime.model_evaluation.settings import Decision
from ontime.model_training.recipe import champion_recipe

VALIDATION_DAYS = 31


@click.command(name="backtest")
@click.option(
    "--start",
    "starts",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    required=True,
    metavar="DAY",
    help="First day that is served; may be repeated.",
)
@click.option(
    "--every-days",
    type=click.IntRange(min=1),
    multiple=True,
    default=(14, 28),
    show_default=True,
    help="Days between two fits; may be repeated.",
)
@click.option(
    "--validation-days",
    type=click.IntRange(min=1),
    default=VALIDATION_DAYS,
    show_default=True,
    help="Newest days with labels, which stop a fit and choose any threshold.",
)
@click.option(
    "--label-days", type=click.IntRange(min=0), default=1, show_default=True, help="Days until a row's label is known."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File for the tables as JSON.")
def command(
    starts: tuple[datetime, ...],
    every_days: tuple[int, ...],
    validation_days: int,
    label_days: int,
    output: Path | None,
) -> None:
    """Replay the past with each policy of retraining and print what it would have cost."""
    limit_threads()
    split = load_section("split", Split)
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    past = past_of(feature_rows(layout, split), layout)
    recipe = champion_recipe()
    fits = Fits(
        past,
        recipe,
        judge_of(recipe.task.name, recipe.task.classes),
        load_section("select", Select).metric,
        load_section("decision", Decision),
        split.min_category_rows,
        validation_days,
        label_days,
        lambda text: click.echo(text, err=True),
    )
    until = moment(split.test_from).astimezone(UTC).date() if split.by == "time" else None
    policies = all_policies(sorted(set(every_days)))
    found = summary([start.date() for start in starts], policies, fits, until)
    found["validation_days"], found["label_days"] = validation_days, label_days
    click.echo(markdown(found))
    if output:
        write_json(output, found)


def summary(starts: Sequence[date], policies: Sequence[Policy], fits: Fits, until: date | None) -> dict[str, Any]:
    """Figures of each policy from each start on, and the policy with the least loss on the days that decide.

    Args:
        until: the first day that decides nothing; None if all decide.
    """
    replays, deciding = [], []
    for start in starts:
        end = fits.past.day.max().item() + timedelta(days=1)
        if not start < (until or end) <= end:
            raise OntimeError(f"backtest: --start {start}: not before the last day that decides, of {until or end}")
        answers = [replay(policy, fits, start, end) for policy in policies]
        periods = {"decides": (start, until or end)} | ({"shows": (until, end)} if until else {})
        figures = {name: _figures(policies, answers, fits, start, *days) for name, days in periods.items()}
        deciding.append([row[fits.recipe.task.loss_name] for row in figures["decides"]])
        shown = [
            {"name": name, "first": str(first), "last": str(last - timedelta(days=1)), "rows": figures[name]}
            for name, (first, last) in periods.items()
        ]
        replays.append({"start": str(start), "periods": shown})
    best = policies[int(np.argmin(np.mean(deciding, axis=0)))]
    return {"replays": replays, "best": {"policy": best.name, "every_days": best.every_days, "refit": best.refit}}


def _figures(
    policies: Sequence[Policy], answers: Sequence[Answers], fits: Fits, start: date, first: date, end: date
) -> list[dict[str, Any]]:
    """One row for each policy, on the days from `first` to the day before `end`."""
    past, task = fits.past, fits.recipe.task
    served = past.day >= np.datetime64(start)
    part = past.between(first, end)[served]
    target, day = past.target[served][part], past.day[served][part]
    weights = weights_at(weights_at(past.weights, served), part)
    if not len(target):
        raise OntimeError(f"backtest: no row with a target from {first} to the day before {end}")
    names = [fits.metric, *(name for name in fits.judge.compared if name != fits.metric)]
    losses = [score_of(task.loss_name, target, said.outputs[part], weights) for said in answers]
    every_row = np.ones(len(target), dtype=np.int64)
    rows = []
    for policy, said, loss in zip(policies, answers, losses, strict=True):
        figures = {
            name: _figure(name, target, said.outputs[part], said.threshold[part], fits, weights) for name in names
        }
        figures["difference"] = loss(every_row) - losses[0](every_row)
        figures["low"], figures["high"] = interval_by_days(day, loss, losses[0])
        kept = {name: task.rounded(one) if np.isfinite(one) else None for name, one in figures.items()}
        rows.append({"policy": policy.title, "fits": said.fits, **kept})
    return rows


def _figure(
    name: str,
    target: Target,
    outputs: Outputs,
    threshold: npt.NDArray[np.float64],
    fits: Fits,
    weights: Weights | None,
) -> float:
    """A metric of what a policy said of rows, of which each has the threshold (rows,) of its model."""
    if name == "cost_per_1000":
        return cost_per_1000(target, outputs >= threshold, fits.decision, weights)
    return metric_of(name, target, outputs, weights)
