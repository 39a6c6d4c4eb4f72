"""How a run was trained, so that its family can be fitted again on other rows."""

import csv
from dataclasses import dataclass
from pathlib import Path

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.common.params import Section, check
from ontime.encoder import Encoder
from ontime.model_training.families import Family, History, Rows, Setting, family
from ontime.tasks.task import Task, load_task


@dataclass(frozen=True)
class Recipe:
    """A family, its parameters, its seed, how many steps its validation rows found to be enough, and the task."""

    family: str
    parameters: Section
    seed: int
    steps: int
    task: Task

    def fit_all(self, rows: Rows, encoder: Encoder, progress: bool = False) -> Family:
        """A model of all the rows, with the steps that are known."""
        return family(self.family, self.task).fit_all(rows, self.setting(encoder, progress), self.steps)

    def setting(self, encoder: Encoder, progress: bool = False) -> Setting:
        """What the family is fitted with."""
        return Setting(encoder, self.parameters, self.seed, self.task, progress)


def champion_recipe() -> Recipe:
    """What the champion's run says of its training."""
    return recipe_of(read_json(paths.SELECTION)["champion"])


def recipe_of(name: str) -> Recipe:
    """What the run of a family says of its training."""
    run = paths.training_run(name)
    path = run / "config" / "parameters.json"
    parameters = dict(read_json(path))
    seed = int(parameters.pop("seed"))
    task = load_task()
    kind = family(name, task)
    steps = kind.kept_steps(read_history(run / "metrics" / "history.csv"))
    return Recipe(name, check(kind.Parameters, parameters, str(path)), seed, steps, task)


def read_history(path: Path) -> History:
    """The losses by step that `train` wrote."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first") from None
