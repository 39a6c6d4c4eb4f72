"""The model families by name, and what each can do: be fitted, saved, loaded, and asked for probabilities.

A family is a class in a module of its own name, which is imported when it is asked for. To add one, write such a
module, and name it here, in `params.yaml` and in `dvc.yaml`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from ontime.common.arrays import Labels, Matrix, Probability
from ontime.common.errors import OntimeError
from ontime.common.params import Section, check, closest

if TYPE_CHECKING:
    from ontime.encoder import Encoder

FAMILIES = {
    "logistic_regression": "LogisticRegression",
    "random_forest": "RandomForest",
    "gradient_boosting": "GradientBoosting",
    "neural_network": "NeuralNetwork",
}
"""Class of each family, in the module of the family's name; from the simplest on, which wins a tie."""

History = list[dict[str, float]]
"""Losses by step of a training: epochs, trees or boosting iterations."""
Rows = tuple[Matrix, Labels]
"""Encoded rows (rows, features) and their labels (rows,)."""
Predict = Callable[[Matrix], Probability]


class Train(Section):
    """One section per model family, which its `Parameters` check, and what all share.

    `refit`: the champion's family is fitted once more on training and validation rows, and that model is served.
    """

    seed: Annotated[int, Field(ge=0)]
    refit: bool
    logistic_regression: dict[str, Any]
    random_forest: dict[str, Any]
    gradient_boosting: dict[str, Any]
    neural_network: dict[str, Any]


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
    def fit(
        cls, train: Rows, validation: Rows, encoder: "Encoder", parameters: Any, seed: int, progress: bool
    ) -> tuple[Self, History]:
        """Fit on the training rows; validation rows decide when to stop.

        Args:
            parameters: an object of `Parameters`; progress: show steps on the terminal.

        Returns:
            The fitted model and its history, one entry per step.
        """

    @classmethod
    @abstractmethod
    def fit_all(cls, rows: Rows, encoder: "Encoder", parameters: Any, seed: int, steps: int, progress: bool) -> Self:
        """Fit on all rows, none of which decides when to stop.

        Args:
            steps: what `kept_steps` says of a `fit` with validation rows.
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
    def probability(self, matrix: Matrix) -> Probability:
        """Probability of the event for encoded rows (rows, features): float64 (rows,)."""


def check_family(name: str) -> str:
    """The name itself, if it is a model family."""
    if name not in FAMILIES:
        raise OntimeError(f"unknown model {name}; {closest(name, list(FAMILIES))}")
    return name


def family(name: str) -> type[Family]:
    """The class of a model family."""
    module = importlib.import_module(f"ontime.model_training.{check_family(name)}")
    found: type[Family] = getattr(module, FAMILIES[name])
    return found


def parameters_of(name: str, train: Train, where: str = "params.yaml") -> Section:
    """One family's checked parameters; `where` begins the one-line error."""
    return check(family(name).Parameters, getattr(train, name), f"{where}: train.{name}")


def load_model(name: str, folder: Path) -> Family:
    """Read the model of one family.

    Raises:
        OntimeError: there is no such folder.
    """
    if not folder.is_dir():
        raise OntimeError(f"{folder}: not found; run `dvc repro` (or `ontime pull`) first")
    return family(name).load(folder)
