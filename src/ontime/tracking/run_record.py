"""What is recorded of one run: a training, a baseline, or a search with its trials as child runs."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontime.common import paths
from ontime.common.files import read_json, sha256
from ontime.common.params import load_section
from ontime.datasets.content import without_secrets
from ontime.datasets.source import Data
from ontime.model_training.rows import load_encoder
from ontime.model_training.train import TIMES
from ontime.tracking.experiment import IDENTITY, PARTS, ROLE, git_tags, named, role_of
from ontime.tracking.model_files import figures, log_model

METRICS = ("metrics/validation.json", "metrics/test.json")
DIGEST_CHARACTERS = 36
"""MLflow keeps no more of a data set's digest."""


def record_run(experiment: str, name: str, identity: str) -> None:
    """Record a training with its losses, data sets, plots and model."""
    import mlflow
    import pandas as pd

    run = paths.training_run(name)
    training = read_json(run / "metadata" / "training.json")
    with _recording(experiment, name, identity, role_of(name), _times(run)):
        mlflow.log_params(read_json(run / "config" / "parameters.json"))
        mlflow.log_params({"training_data_sha256": training["training_data_sha256"]})
        mlflow.log_dict({"features": load_encoder().features, **training}, "training.json")
        _log_data({"train": training["training_data_sha256"]})
        history = pd.read_csv(run / "metrics" / "history.csv")
        for row in history.to_dict(orient="records"):
            mlflow.log_metrics({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))
        mlflow.log_metrics(metrics_of(name))
        for title, figure in figures(name, run, history).items():
            mlflow.log_figure(figure, f"plots/{title}.png")
        log_model(name, run, training)


def record_baseline(experiment: str, name: str, identity: str) -> None:
    """Record the metrics of an answer that needs no model."""
    import mlflow

    with _recording(experiment, name, identity, role_of(name), None):
        mlflow.log_metrics(metrics_of(name))


def record_trials(experiment: str, family: str, path: Path, identity: str) -> None:
    """Record a search, and each of its trials as a run below it."""
    import mlflow

    search = read_json(path)
    loss, span = f"validation/{search['loss']}", (search["begun"], search["ended"])
    with _recording(experiment, f"tune {family}", identity, "search", span) as parent:
        mlflow.log_metrics({loss: min(trial["loss"] for trial in search["trials"])})
        for number, trial in enumerate(search["trials"], start=1):
            values = ", ".join(f"{key} {value}" for key, value in trial["parameters"].items()) or "as in params.yaml"
            tags = {"mlflow.parentRunId": parent, ROLE: "trial"}
            client = mlflow.MlflowClient()
            child = client.create_run(experiment, int(1000 * span[0]), tags, f"trial {number}: {values}").info.run_id
            for key, value in trial["parameters"].items():
                client.log_param(child, key, value)
            client.log_metric(child, loss, trial["loss"])
            client.set_terminated(child, "FINISHED", int(1000 * span[1]))


def update_run(run_id: str, name: str) -> None:
    """Record what came after a training: its metrics and its role."""
    import mlflow

    client = mlflow.MlflowClient()
    client.set_tag(run_id, ROLE, role_of(name))
    for key, value in metrics_of(name).items():
        client.log_metric(run_id, key, value)


def metrics_of(name: str) -> dict[str, float]:
    """Metrics of a run on validation and test, and of the champion those of the model that is served."""
    run = paths.training_run(name)
    found: dict[str, float] = {}
    served = paths.REFIT / "metrics" / "test.json"
    for part, path in zip(PARTS, (run / METRICS[0], run / METRICS[1], served), strict=True):
        if path.is_file() and (path != served or role_of(name) == "champion"):
            found |= {f"{part}/{key}": float(value) for key, value in read_json(path).items()}
    return found


@contextmanager
def _recording(
    experiment: str, what: str, identity: str, role: str, times: tuple[float, float] | None
) -> Iterator[str]:
    """A run that lasts as long as what it is about did, not as long as its recording; its id."""
    import mlflow

    client, tags = mlflow.MlflowClient(), git_tags()
    begun, ended = times or (time.time(),) * 2
    made = client.create_run(
        experiment, int(1000 * begun), {IDENTITY: identity, ROLE: role, **tags}, named(what, tags)
    ).info.run_id
    with mlflow.start_run(run_id=made):
        yield made
    client.set_terminated(made, "FINISHED", int(1000 * ended))


def _times(run: Path) -> tuple[float, float] | None:
    """When this run was trained; unknown if its files came from a cache or a remote."""
    if not (run / TIMES).is_file():
        return None
    times: Mapping[str, Any] = read_json(run / TIMES)
    same = times["history_sha256"] == sha256(run / "metrics" / "history.csv")
    return (times["begun"], times["ended"]) if same else None


def _log_data(digests: Mapping[str, str]) -> None:
    """Log the rows that a training saw as data sets, by name and content."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    known = {**digests, **{part: sha256(paths.split_rows(part)) for part in ("validation", "test")}}
    source = without_secrets(load_section("data", Data).source)
    for part, digest in known.items():
        data = MetaDataset(CodeDatasetSource(tags={}), name=f"{source} {part}", digest=digest[:DIGEST_CHARACTERS])
        mlflow.log_input(data, context="training" if part == "train" else part)
