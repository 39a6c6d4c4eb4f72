"""Random search over one family's hyperparameters; the best go into `params.yaml`.

In: training and validation rows, `tune`. Each trial is one joblib task (`engine.backend`), scored by validation
log loss; Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
"""

from pathlib import Path
from typing import Any

import click
from sklearn.metrics import log_loss
from sklearn.model_selection import ParameterSampler

from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE, Train, check, check_family, load_params
from ontime.engine import run_tasks
from ontime.model_training.runs import load_encoder, load_rows, predictor
from ontime.model_training.train import fit
from ontime.yaml_files import editing


@click.command(name="tune")
@click.argument("model")
@click.option("--trials", type=click.IntRange(min=1), help="How many to try (default: tune.trials).")
def command(model: str, trials: int | None) -> None:
    """Search one model family's hyperparameters and write the best into params.yaml."""
    check_family(model)
    params = load_params()
    space = params.tune.space.get(model)
    if not space:
        raise OntimeError(f"params.yaml: tune.space.{model}: missing; list the values to try")
    drawn = list(ParameterSampler(space, trials or params.tune.trials, random_state=params.tune.seed))
    candidates = [{}, *({name: settings[name] for name in space} for settings in drawn)]
    tasks = [(Path.cwd(), model, with_settings(params.train, model, settings)) for settings in candidates]
    losses = run_tasks(validation_loss, tasks, params.engine.backend)
    for loss, settings in sorted(zip(losses, candidates, strict=True), key=lambda pair: pair[0]):
        click.echo(f"{loss:.6f}  {settings or 'as in params.yaml'}")
    best = candidates[losses.index(min(losses))]
    if best:
        with editing(PARAMS_FILE) as content:
            content["train"][model].update(best)
        click.echo(f"{PARAMS_FILE}: train.{model} updated; run `dvc repro`")
    else:
        click.echo(f"{PARAMS_FILE}: already the best, nothing changed")


def with_settings(train: Train, model: str, settings: dict[str, Any]) -> Train:
    """The `train` section with some of one family's hyperparameters replaced, checked like the file."""
    content = train.model_dump()
    content[model].update(settings)
    return check(Train, content, f"params.yaml: tune.space.{model}")


def validation_loss(checkout: Path, model: str, settings: Train) -> float:
    """Validation log loss of one fit on the rows of a checkout."""
    encoder = load_encoder(checkout)
    train, validation = (load_rows(part, encoder, checkout) for part in ("train", "validation"))
    fitted, _ = fit(model, train, validation, encoder, settings)
    return float(log_loss(validation[1], predictor(model, fitted)(validation[0])))
