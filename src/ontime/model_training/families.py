"""The model families by name, and what each can do: be fitted for a task, saved, loaded, and asked.

A family is a class in a module of its own name, which is imported when it is asked for. One of your own is such a
module in this folder, named by a section of `train` in `params.yaml` (`docs/fork.md`).
"""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from ontime.common.arrays import Matrix, Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.params import Section, check, closest
from ontime.tasks.names import TaskName

if TYPE_CHECKING:
    import onnx

    from ontime.encoder import Encoder
    from ontime.tasks.task import Task

OF_ANY_TASK = ("random_forest", "gradient_boosting", "neural_network")
FAMILIES: dict[TaskName, tuple[str, ...]] = {
    "binary": ("logistic_regression", *OF_ANY_TASK),
    "multiclass": ("logistic_regression", *OF_ANY_TASK),
    "regression": ("linear_regression", *OF_ANY_TASK),
}
"""The families that each task has, from the simplest on, which wins a tie. A family is a class in the module of its
name, such as `RandomForest`."""

History = list[dict[str, float]]
"""Losses by step of a training: epochs, trees or boosting iterations."""
Rows = tuple[Matrix, Target] | tuple[Matrix, Target, Weights]
"""Encoded rows (rows, features), their targets (rows,), and of a table with weights what each row counts (rows,), in
the order of `fit` of scikit-learn and Keras; no weight is 0."""
Predict = Callable[[Matrix], Outputs]
OPSET = {"": 18, "ai.onnx.ml": 3}
"""Versions of the operators of exported graphs."""


class Train(Section):
    """One section per model family of the task, which its `Parameters` check, and what all share.

    `refit`: the champion's family is fitted once more on training and validation rows, and that model is served.
    A section more is a family of one's own.
    """

    model_config = ConfigDict(extra="allow")

    seed: Annotated[int, Field(ge=0)]
    refit: bool
    logistic_regression: dict[str, Any] | None = None
    linear_regression: dict[str, Any] | None = None
    random_forest: dict[str, Any]
    gradient_boosting: dict[str, Any]
    neural_network: dict[str, Any]

    @model_validator(mode="after")
    def _own_families(self) -> "Train":
        for name in self.own_families:
            if _class_of(name) is None:
                known = [*type(self).model_fields]
                raise OntimeError(f"params.yaml: train.{name}: unknown key; {closest(name, known)}")
        return self

    @property
    def own_families(self) -> tuple[str, ...]:
        """Names of the families of one's own, in the order of the file."""
        return tuple(self.model_extra or ())


@dataclass(frozen=True)
class Setting:
    """What a family is fitted with, beside rows.

    `parameters` is an object of the family's `Parameters`; `task` says what the targets are, and the loss that is made
    small; `progress` shows steps on the terminal.
    """

    encoder: "Encoder"
    parameters: Any
    seed: int
    task: "Task"
    progress: bool = False


class Family(ABC):
    """A fitted model of one family."""

    Parameters: ClassVar[type[Section]]
    """Its section of `params.yaml`."""
    framework: ClassVar[str]
    """What the model is an object of: `scikit-learn` or `keras`."""
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions decide what comes out."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    @abstractmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Fit on the training rows; validation rows decide when to stop, and both count by their weights.

        Returns:
            The fitted model and its history, one entry per step.
        """

    @classmethod
    @abstractmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Fit on all rows by their weights; none of them decides when to stop.

        Args:
            steps: what `kept_steps` says of a `fit` with validation rows.
        """

    @abstractmethod
    def exported(self, columns: int) -> "onnx.ModelProto":
        """The model as an ONNX graph of `OPSET`, which `export` tidies.

        Args:
            columns: width of the float32 matrix that is its one input. Its last output is of numbers (rows, 1), or of
                each class's probability (rows, classes), or of an event's (rows, 1).
        """

    @staticmethod
    def kept_steps(history: History) -> int:
        """Epochs, trees or iterations in the model that `fit` returned with this history: by default all."""
        return int(history[-1]["step"])

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model into a folder of its own; the same bytes for the same model."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model."""

    @abstractmethod
    def predict(self, matrix: Matrix) -> Outputs:
        """What the task's models say of encoded rows (rows, features): float64 (rows,), or (rows, classes)."""


def weights_of(rows: Rows) -> Weights | None:
    """What each row counts (rows,); None: each the same."""
    return rows[2] if len(rows) == 3 else None


def validation_loss(step: dict[str, float]) -> float:
    """The loss on validation rows in one entry of a history, whatever the task calls it."""
    return next(value for name, value in step.items() if name.startswith("validation_"))


def check_family(name: str) -> str:
    """The name itself, if it is a model family."""
    family(name)
    return name


def families_of(task: TaskName, train: Train) -> tuple[str, ...]:
    """The families that a task's graph compares: its own, then those that `params.yaml` adds, which lose a tie."""
    return (*FAMILIES[task], *train.own_families)


def _class_of(name: str) -> "type[Family] | None":
    """The class of a family, by the module of its name in this folder; None if there is none."""
    path = f"ontime.model_training.{name}"
    # asked of Python, because on a worker the package is in an archive
    if not name.isidentifier() or importlib.util.find_spec(path) is None:
        return None
    module = importlib.import_module(path)
    found = getattr(module, name.title().replace("_", ""), None)
    return found if isinstance(found, type) and issubclass(found, Family) else None


def family(name: str, task: "Task | None" = None) -> type[Family]:
    """The class of a model family.

    Args:
        task: what it is to be fitted for, if it is.

    Raises:
        OntimeError: there is no such family, or the task does not have it.
    """
    known = [*dict.fromkeys(name for names in FAMILIES.values() for name in names)]
    found = _class_of(name)
    if found is None:
        raise OntimeError(f"unknown model {name}; {closest(name, known)}")
    if task and name in known and name not in FAMILIES[task.name]:
        raise OntimeError(f"{name}: no model of a {task.name} task; known: {', '.join(FAMILIES[task.name])}")
    return found


def parameters_of(name: str, train: Train, where: str = "params.yaml") -> Section:
    """One family's checked parameters; `where` begins the one-line error."""
    kind, content = family(name), getattr(train, name, None)
    if content is None:
        raise OntimeError(f"{where}: train.{name}: missing")
    return check(kind.Parameters, content, f"{where}: train.{name}")


def load_model(name: str, folder: Path) -> Family:
    """Read the model of one family.

    Raises:
        OntimeError: there is no such folder.
    """
    if not folder.is_dir():
        raise OntimeError(f"{folder}: not found; run `dvc repro` (or `ontime pull`) first")
    return family(name).load(folder)
