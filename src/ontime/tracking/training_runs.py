"""Record each finished training run in MLflow, once.

Recorded are parameters, losses by step, metrics, plots, the model with signature and example, data hash and git commit.
Nothing in the graph reads them, and if the server is down, a warning is printed and the run is not affected.
`MLFLOW_TRACKING_URI` is the server (default `sqlite:///mlflow.db`); `ONTIME_TRACKING=off` turns recording off.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_json
from ontime.common.params import load_section
from ontime.model_training.families import Train, check_family, families_of, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.repository.git import tried
from ontime.tasks.task import TaskSettings
from ontime.tracking.mlflow_client import asking_mlflow

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENT = "ontime"
EXAMPLE_ROWS = 5
IDENTITY = "training_run_sha256"
"""Tag of a recorded run: what it was recorded from, so that it is recorded once."""
TRAINED = ("config", "metadata", "model", "metrics/history.csv")
"""What the `train` stage wrote into a run's folder."""
NOTE = paths.TRAINING_RUNS / "recorded.json"
"""Runs known to be recorded, by the hash of the tracking address, so that MLflow need not be imported to check."""


@click.command(name="track")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
def command(models: tuple[str, ...]) -> None:
    """Record finished training runs in MLflow, each once (default: of every model)."""
    for name in models:
        check_family(name)
    if os.environ.get("ONTIME_TRACKING") == "off":
        return
    every = models or families_of(load_section("task", TaskSettings).kind, load_section("train", Train))
    finished = [name for name in every if (paths.training_run(name) / "metadata").is_dir()]
    absent = [name for name in models if name not in finished]
    if absent:
        raise OntimeError(f"{paths.training_run(absent[0])}: not found; run `dvc repro` (or `ontime pull`) first")
    identities = {name: identity_of(paths.training_run(name)) for name in finished}
    with asking_mlflow("runs not recorded") as address:
        known = noted(address)
        new = {name: identity for name, identity in identities.items() if identity not in known}
        if new:
            recorded = record(new)
            write_json(NOTE, {hashed(address): sorted({*known, *identities.values()})})
            click.echo(f"recorded in MLflow: {', '.join(recorded) or 'nothing new'}")


def noted(address: str) -> set[str]:
    """Identities of the runs that are known to be recorded at a tracking address."""
    database = address.removeprefix("sqlite:///")
    if not NOTE.is_file() or (database != address and not Path(database).exists()):
        return set()
    return set(read_json(NOTE).get(hashed(address), ()))


def hashed(address: str) -> str:
    """SHA-256 of an address, which may hold a password."""
    return hashlib.sha256(address.encode()).hexdigest()


def record(identities: dict[str, str]) -> list[str]:
    """Record the runs, by name, that MLflow does not have yet, and return their names."""
    import mlflow

    experiment = mlflow.set_experiment(EXPERIMENT)
    # if another process makes it at the same time, the call above returns it and leaves the default one active
    mlflow.set_experiment(experiment_id=experiment.experiment_id)
    new = []
    for name, identity in identities.items():
        # one that was broken off has the tag too
        whole = f"tags.{IDENTITY} = '{identity}' and attributes.status = 'FINISHED'"
        if not mlflow.search_runs([experiment.experiment_id], whole, max_results=1, output_format="list"):
            _record(name, paths.training_run(name), identity)
            new.append(name)
    return new


def identity_of(run: Path) -> str:
    """SHA-256 of the names and hashes of the files that a training wrote."""
    files = [path for part in TRAINED for path in sorted([run / part, *(run / part).rglob("*")]) if path.is_file()]
    listing = "".join(f"{sha256(path)}  {path.relative_to(run)}\n" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _record(name: str, run: Path, identity: str) -> None:
    import mlflow
    import pandas as pd

    training = read_json(run / "metadata" / "training.json")
    encoder = load_encoder()
    with mlflow.start_run(run_name=name):
        changed = tried("status", "--porcelain")
        tags = {"git_commit": tried("rev-parse", "HEAD") or "unknown", "git_dirty": str(changed != "")}
        mlflow.set_tags({IDENTITY: identity, **tags})
        mlflow.log_params(read_json(run / "config" / "parameters.json"))
        mlflow.log_params({"training_data_sha256": training["training_data_sha256"]})
        mlflow.log_dict({"features": encoder.features, **training}, "training.json")
        history = pd.read_csv(run / "metrics" / "history.csv")
        for row in history.to_dict(orient="records"):
            mlflow.log_metrics({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))
        for part in ("validation", "test"):
            if (run / "metrics" / f"{part}.json").is_file():
                summary = read_json(run / "metrics" / f"{part}.json")
                mlflow.log_metrics({f"{part}/{key}": float(value) for key, value in summary.items()})
        for title, figure in _figures(name, run, history).items():
            mlflow.log_figure(figure, f"plots/{title}.png")
        _log_model(name, run, training)


def _log_model(name: str, run: Path, training: dict[str, Any]) -> None:
    from mlflow.models import infer_signature

    fitted = load_model(name, run / "model")
    example = load_rows("validation", load_encoder())[0][:EXAMPLE_ROWS]
    described = {
        "name": "model",
        "signature": infer_signature(example, fitted.predict(example)),
        "input_example": example,
        # the packages as they are known; MLflow would load the model in another process to find out
        "pip_requirements": [f"{package}=={number}" for package, number in training["packages"].items()],
    }
    LOGGERS[fitted.framework](fitted.model, described)


def _log_keras(model: Any, described: dict[str, Any]) -> None:
    from mlflow import tensorflow

    tensorflow.log_model(model, **described)


def _log_scikit_learn(model: Any, described: dict[str, Any]) -> None:
    import skops.io
    from mlflow import sklearn

    # the types that skops does not know; they come from this checkout's own training
    trusted = list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    sklearn.log_model(model, skops_trusted_types=trusted, **described)


LOGGERS = {"keras": _log_keras, "scikit-learn": _log_scikit_learn}


def _figures(name: str, run: Path, history: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd
    from matplotlib.figure import Figure

    learning = Figure(figsize=(6, 4))
    axes = learning.subplots()
    for key in history.columns.drop("step"):
        axes.plot(history["step"], history[key], marker=".", label=key)
    axes.set(title=f"{name}: log loss by step", xlabel="step", ylabel="log loss")
    axes.legend()
    figures = {"learning_curve": learning}
    if (run / "plots" / "roc.csv").is_file():
        curve = pd.read_csv(run / "plots" / "roc.csv")
        figures["roc"] = Figure(figsize=(5, 5))
        axes = figures["roc"].subplots()
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"])
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set(title=f"{name}: ROC on test", xlabel="false positive rate", ylabel="true positive rate")
    return figures
