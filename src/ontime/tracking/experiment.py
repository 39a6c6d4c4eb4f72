"""The experiment in MLflow: what a person sees who opens it, and which run is the champion."""

import contextlib
import json
from typing import Any

from ontime.common import paths
from ontime.common.files import read_json
from ontime.repository.git import tried

EXPERIMENT = "ontime"
IDENTITY = "training_run_sha256"
"""Tag of a recorded run: what it was recorded from, so that it is recorded once."""
ROLE = "role"
"""Tag of a recorded run: `champion`, `candidate`, `baseline`, or `trained` before a champion was chosen."""
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow opens an experiment on traces of language models."""
READ_BY_THE_GRAPH = ("params.yaml", "dvc.yaml", "requirements.txt", "src", "data", "*.dvc")
"""Not `dvc.lock`, which every training changes."""
VIEW = "results"
"""Key of the view of the runs in which their role and the metric that chooses are columns, the best first."""
PARTS = ("validation", "test", "served_test")
"""Beginnings of the names of metrics."""
LONGEST_COMMIT = 7
UNKNOWN = "unknown"


def open_experiment() -> str:
    """Id of the experiment, which is made if need be, and is the active one then."""
    import mlflow

    experiment = mlflow.set_experiment(EXPERIMENT)
    # if another process makes it at the same time, the call above returns it and leaves the default one active
    mlflow.set_experiment(experiment_id=experiment.experiment_id)
    return str(experiment.experiment_id)


def recorded_run(experiment: str, identity: str) -> str | None:
    """Id of the run that was recorded whole from this; one that was broken off has the tag too."""
    import mlflow

    whole = f"tags.{IDENTITY} = '{identity}' and attributes.status = 'FINISHED'"
    found = mlflow.search_runs([experiment], whole, max_results=1, output_format="list")
    return str(found[0].info.run_id) if found else None


def role_of(name: str) -> str:
    """What became of a run of this checkout."""
    run = paths.training_run(name)
    if not (run / "metadata").is_dir():
        return "baseline"
    validation = run / "metrics" / "validation.json"
    if not paths.SELECTION.is_file() or not validation.is_file():
        return "trained"
    selection = read_json(paths.SELECTION)
    judged = selection.get("validation_values", selection["candidates"])
    if judged.get(name) != read_json(validation).get(selection["metric"]):
        return "trained"
    return "champion" if selection["champion"] == name else "candidate"


def git_tags() -> dict[str, str]:
    """The commit, and whether something that the graph reads differs from it."""
    changed = tried("status", "--porcelain", "--", *READ_BY_THE_GRAPH)
    return {"git_commit": tried("rev-parse", "HEAD") or UNKNOWN, "git_dirty": str(changed != "")}


def named(what: str, tags: dict[str, str]) -> str:
    """A run's name: what it is, its commit, and whether that is all."""
    if tags["git_commit"] == UNKNOWN:
        return what
    changes = " with changes" if tags["git_dirty"] == "True" else ""
    return f"{what} {tags['git_commit'][:LONGEST_COMMIT]}{changes}"


def describe() -> None:
    """Say on the experiment's page which run won last, and make a view of the runs that shows it.

    Recorded runs stay if this fails, as it may where several processes do it at once.
    """
    import mlflow

    with contextlib.suppress(mlflow.exceptions.MlflowException):
        mlflow.set_experiment_tags(KIND | _of_champion())


def _of_champion() -> dict[str, str]:
    if not paths.SELECTION.is_file():
        return {}
    selection: dict[str, Any] = read_json(paths.SELECTION)
    commit, metric = git_tags()["git_commit"][:LONGEST_COMMIT], selection["metric"]
    worth = list(selection["candidates"].values())
    values = ", ".join(
        f"{name} {value}" for name, value in {**selection["candidates"], **selection["baselines"]}.items()
    )
    by = f"{metric} over {selection['folds']} folds" if "folds" in selection else f"validation {metric}"
    text = (
        f"**Champion at {commit}: {selection['champion']}**, by {by}: {values}.\n\n"
        f"Tag `{ROLE}` of a run: champion, candidate or baseline. Metrics `validation/…` and `test/…` are those of the "
        "run; `served_test/…` are those of the model that is served, fitted on validation rows too."
    )
    view = {
        "selectedColumns": [f"tags.`{ROLE}`", *(f"metrics.`{part}/{metric}`" for part in PARTS)],
        "orderByKey": f"metrics.`validation/{metric}`",
        # candidates are listed from the best on
        "orderByAsc": worth[0] < worth[-1],
    }
    return {"mlflow.note.content": text, f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}
