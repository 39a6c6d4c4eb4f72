"""Random search over one family's hyperparameters; the best go into `params.yaml`.

In: training and validation rows, `tune`. Each trial is one task (`engine.backend`), scored by validation
loss; Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
"""

import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import click
from sklearn.model_selection import ParameterSampler

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import write_json
from ontime.common.params import PARAMS_FILE, Count, Section, check, load_section
from ontime.cores import limit_threads
from ontime.engine import Engine, Files, run_tasks
from ontime.model_training.families import Setting, Train, family, parameters_of, weights_of
from ontime.model_training.rows import load_encoder, load_fit_rows
from ontime.repository.yaml_files import editing
from ontime.tasks.names import TaskName
from ontime.tasks.task import load_task, task_of

TRIALS = "trials.json"
"""What a search tried, in the family's run folder, for `ontime track`; no output of the graph."""


class Tune(Section):
    """Random search: how many trials, and for each model family the values to try."""

    trials: Count
    seed: int
    space: dict[str, dict[str, list[Any]]]


@click.command(name="tune")
@click.argument("model")
@click.option("--trials", type=click.IntRange(min=1), help="How many to try (default: tune.trials).")
def command(model: str, trials: int | None) -> None:
    """Search one model family's hyperparameters and write the best into params.yaml."""
    limit_threads()
    search(model, trials)


def search(model: str, trials: int | None = None) -> None:
    """Try settings of one model family, print the loss of each, and write the best into `params.yaml`.

    Args:
        trials: how many to draw, of a smaller space all (default: `tune.trials`).
    """
    train, tune = load_section("train", Train), load_section("tune", Tune)
    task = load_task()
    present = parameters_of(model, train)
    space = tune.space.get(model)
    if not space:
        raise OntimeError(f"params.yaml: tune.space.{model}: missing; list the values to try")
    every = prod(len(values) for values in space.values())
    drawn = list(ParameterSampler(space, min(trials or tune.trials, every), random_state=tune.seed))
    candidates = [{}, *({name: settings[name] for name in space} for settings in drawn)]
    trial = [with_values(present, model, values) for values in candidates]
    tasks = [(Path.cwd(), model, parameters, train.seed, task.name, task.classes) for parameters in trial]
    begun = time.time()
    losses = run_tasks(validation_loss, tasks, load_section("engine", Engine).backend, trial_files, "trial")
    tried = [{"parameters": values, "loss": loss} for values, loss in zip(candidates, losses, strict=True)]
    span = {"begun": begun, "ended": time.time()}
    write_json(paths.training_run(model) / TRIALS, {"loss": load_task().loss_name, **span, "trials": tried})
    for loss, settings in sorted(zip(losses, candidates, strict=True), key=lambda pair: pair[0]):
        click.echo(f"{loss:.6f}  {settings or 'as in params.yaml'}")
    best = candidates[losses.index(min(losses))]
    if best:
        with editing(PARAMS_FILE) as content:
            content["train"][model].update(best)
        click.echo(f"{PARAMS_FILE}: train.{model} updated; run `dvc repro`")
    else:
        click.echo(f"{PARAMS_FILE}: already the best, nothing changed")


def with_values(present: Section, model: str, values: dict[str, Any]) -> Section:
    """One family's hyperparameters with some of them replaced, checked like the file."""
    return check(type(present), {**present.model_dump(), **values}, f"params.yaml: tune.space.{model}")


def trial_files(checkout: Path, *rest: Any) -> Files:
    """What one trial reads."""
    del rest
    return Files(
        [
            checkout / path
            for path in (paths.VOCABULARY, paths.FEATURE_LAYOUT, *map(paths.split_rows, paths.FITTED_PARTS))
        ]
    )


def validation_loss(
    checkout: Path, model: str, parameters: Section, seed: int, name: TaskName, classes: Sequence[str] = ()
) -> float:
    """Validation loss of one fit on the rows of a checkout."""
    encoder = load_encoder(checkout)
    train, validation = (load_fit_rows(part, encoder, checkout) for part in paths.FITTED_PARTS)
    task = task_of(name, classes)
    fitted, _ = family(model, task).fit(train, validation, Setting(encoder, parameters, seed, task))
    return task.loss(validation[1], fitted.predict(validation[0]), weights_of(validation))
