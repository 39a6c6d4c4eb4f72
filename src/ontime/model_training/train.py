"""Train one model family and keep what it took.

In: training and validation rows, vocabulary, the family's parameters. Out: `models/training_runs/<model>/` with
`model/`, `config/parameters.json`, `metadata/training.json` and `metrics/history.csv`. The run is tracked in MLflow
afterwards; tracking feeds nothing back.
"""

import sys
from importlib.metadata import version
from typing import Any

import click

from ontime.common import paths
from ontime.common.arrays import Labels, Matrix
from ontime.common.environment import importing
from ontime.common.files import sha256, write_json, write_text
from ontime.common.params import Train, check_family, load_params
from ontime.encoder import Encoder
from ontime.model_training.runs import NETWORK, History, load_encoder, load_rows, predictor, save_model
from ontime.model_training.tracking import TrainingRun, track

PACKAGES = {NETWORK: ("keras", "numpy", "tensorflow-cpu")}
SKLEARN_PACKAGES = ("numpy", "scikit-learn", "scipy")


@click.command(name="train")
@click.argument("model")
def command(model: str) -> None:
    """Train one model family: logistic_regression, random_forest, gradient_boosting or neural_network."""
    check_family(model)
    settings = load_params().train
    encoder = load_encoder()
    train, validation = load_rows("train", encoder), load_rows("validation", encoder)
    fitted, history = fit(model, train, validation, encoder, settings, progress=sys.stderr.isatty())
    run = paths.training_run(model)
    parameters = getattr(settings, model).model_dump()
    metadata = {
        "model": model,
        "training_rows": len(train[1]),
        "training_events": int(train[1].sum()),
        "training_data_sha256": sha256(paths.split_rows("train")),
        "packages": {name: version(name) for name in PACKAGES.get(model, SKLEARN_PACKAGES)},
    }
    save_model(model, fitted, run / "model")
    write_json(run / "config" / "parameters.json", {"seed": settings.seed, **parameters})
    write_json(run / "metadata" / "training.json", metadata)
    write_text(run / "metrics" / "history.csv", history_csv(history))
    tracked = TrainingRun(
        model, fitted, predictor(model, fitted), parameters | {"seed": settings.seed}, metadata, history
    )
    track(tracked, encoder, validation)


def fit(
    model: str,
    train: tuple[Matrix, Labels],
    validation: tuple[Matrix, Labels],
    encoder: Encoder,
    settings: Train,
    progress: bool = False,
) -> tuple[Any, History]:
    """Fit one family.

    Args:
        train, validation: encoded matrix (rows, features) and labels (rows,).
        progress: show epochs, trees or iterations on the terminal.

    Returns:
        The fitted model and its history, one entry per step.
    """
    if model == NETWORK:
        from ontime.model_training.neural_network import fit_neural_network

        return fit_neural_network(train, validation, encoder, settings.neural_network, settings.seed, progress)
    with importing():
        from ontime.model_training import estimators

    function = getattr(estimators, f"fit_{model}")
    fitted, history = function(train, validation, encoder, getattr(settings, model), settings.seed, progress)
    return fitted, history


def history_csv(history: History) -> str:
    """Comma-separated values with a header; losses to six decimals."""
    names = [name for name in ("step", "train_log_loss", "validation_log_loss") if name in history[0]]
    lines = [
        ",".join(f"{row[name]:.0f}" if name == "step" else f"{row[name]:.6f}" for name in names) for row in history
    ]
    return "\n".join([",".join(names), *lines]) + "\n"
