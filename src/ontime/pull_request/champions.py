"""The champions that a report compares, as the workspace or a base revision has them."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.pull_request.gate import Predictions
from ontime.repository.lock_file import LOCK, committed_lock, outputs
from ontime.repository.pull import fetched_files
from ontime.tasks.task import Task


@dataclass(frozen=True)
class Champion:
    """A revision's champion: its name, predictions, test metrics, and curves by name."""

    model: str
    predictions: Predictions
    test: Mapping[str, float]
    curves: Mapping[str, pd.DataFrame]
    """Those that its task has, of which a report draws some."""


def read_champion(opened: Callable[[Path], IO[bytes]], task: Task, drawn: Iterable[str]) -> Champion:
    """The champion of the revision that `opened` reads.

    Args:
        task: of that revision; drawn: curves of its plots.
    """
    with opened(paths.SELECTION) as stream:
        model = json.load(stream)["champion"]
    run = paths.training_run(model)
    with opened(run / "metrics" / "validation.json") as stream:
        threshold = json.load(stream).get("threshold")
    with opened(run / "metrics" / "test.json") as stream:
        test = json.load(stream)
    with opened(run / "predictions" / "validation.parquet") as stream:
        rows = pd.read_parquet(stream)
    with opened(paths.FEATURE_LAYOUT) as stream:
        layout = json.load(stream)
    curves = {}
    for name in drawn:
        with opened(run / "plots" / f"{name}.csv") as stream:
            curves[name] = pd.read_csv(stream)
    key, classes = tuple(layout["key"]), tuple(layout.get("classes", ()))
    predictions = Predictions(rows, threshold, key, task.output, classes, layout.get("weight"))
    return Champion(model, predictions, test, curves)


def workspace_opener(path: Path) -> IO[bytes]:
    """Open an output of the workspace."""
    if not path.exists():
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first")
    return path.open("rb")


def base_opener(commit: str) -> Callable[[Path], IO[bytes]]:
    """A function that opens an output of a commit, from DVC's cache or remote."""
    made = outputs(committed_lock(commit))

    def opened(path: Path) -> IO[bytes]:
        out = next((one for one in map(str, (path, *path.parents)) if one in made), None)
        if out is None:
            raise OntimeError(f"{path} of {commit[:12]}: not in {LOCK} there")
        try:
            return fetched_files({out: made[out]})[str(path)].open("rb")
        except (OntimeError, KeyError) as error:
            raise OntimeError(f"{path} of {commit[:12]}: {error}; or `dvc repro` on the base branch") from None

    return opened
