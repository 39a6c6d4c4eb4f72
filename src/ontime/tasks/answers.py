"""What a model of each task answers: in the service, in batch scoring, in the log and in golden records.

The service's image contains this module and the names alone of the package: nothing of training or evaluation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ontime.tasks.names import PREDICTION, PROBABILITY, TaskName

DECISION = "decision"
LEAST_CLASSES = 3
LEAST_BUCKETS = 20
"""Of numbers, in the service's histogram."""
AnswerType = Literal["FP32", "BOOL", "BYTES"]
"""Datatypes of the Open Inference Protocol."""


class Answer(ABC):
    """What is answered for the numbers that the model's graph gives: (rows,), of classes (rows, classes)."""

    output: ClassVar[str]
    """The graph's output tensor, and what its numbers are called wherever they are given."""
    golden: ClassVar[str]
    """What the numbers of golden records are called."""
    types: ClassVar[dict[str, AnswerType]]
    """Each output of the service, the graph's own first."""
    title: ClassVar[str]
    """What the numbers are, for people."""
    metric: ClassVar[str]
    """The service's histogram of the numbers, of classes of the decided one's probability."""
    classes: tuple[str, ...] = ()
    """Names of the columns of the numbers; none where there is one number for each row."""

    def width(self, name: str) -> int | None:
        """How many columns one of the service's outputs has; None if it is one value for each row."""
        return len(self.classes) if self.classes and name == self.output else None

    @abstractmethod
    def values(self, name: str, outputs: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """One of the service's outputs for the graph's numbers: (rows,), of `width` (rows, width)."""

    @abstractmethod
    def agrees(
        self, logged: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.float32], tolerance: float
    ) -> npt.NDArray[np.bool_]:
        """Which logged answers (rows,), by output, are those for the graph's numbers within a tolerance."""

    @abstractmethod
    def tolerance(self, expected: npt.NDArray[Any]) -> float:
        """How far an exported model's numbers may be from those of the trained model."""

    @abstractmethod
    def shortened(self, value: float) -> float:
        """A number as golden records keep it, with more digits than the service gives."""

    @abstractmethod
    def edges(self, golden: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Upper bounds of the buckets in which the service counts the numbers, by those of golden records."""

    def bound(self, edge: float) -> str:
        """How a bucket's upper bound is written."""
        return f"{edge:.2f}"


class ProbabilityAnswer(Answer):
    """Probabilities, as golden records keep them and the service counts them."""

    output = PROBABILITY
    golden = "probabilities"
    metric = "ontime_predicted_probability"

    def shortened(self, value: float) -> float:
        """Nine decimals."""
        return round(value, 9)

    def edges(self, golden: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Twenty buckets of equal width."""
        del golden
        return np.linspace(0.05, 1.0, 20)


@dataclass(frozen=True)
class BinaryAnswer(ProbabilityAnswer):
    """The probability of the event, and whether it is at the threshold or above."""

    threshold: float
    types: ClassVar[dict[str, AnswerType]] = {PROBABILITY: "FP32", DECISION: "BOOL"}
    title = "Predicted probabilities"

    def values(self, name: str, outputs: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Probabilities or decisions."""
        return outputs if name == self.output else self.decide(outputs)

    def decide(self, probability: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Whether each probability (rows,) is at the threshold or above."""
        return probability.astype(np.float64) >= self.threshold

    def agrees(
        self, logged: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.float32], tolerance: float
    ) -> npt.NDArray[np.bool_]:
        """Probabilities that are near, and the same decision unless the threshold is as near."""
        borderline = np.abs(outputs.astype(np.float64) - self.threshold) <= tolerance
        decided = self.decide(outputs) == logged[DECISION].astype(np.bool_)
        return np.asarray(is_near(logged[PROBABILITY], outputs, tolerance) & (decided | borderline))

    def tolerance(self, expected: npt.NDArray[Any]) -> float:
        """1e-5 of the probability."""
        del expected
        return 1e-5


@dataclass(frozen=True)
class MulticlassAnswer(ProbabilityAnswer):
    """The probability of each class, and the most probable class; of equal ones the first."""

    classes: tuple[str, ...]
    types: ClassVar[dict[str, AnswerType]] = {PROBABILITY: "FP32", DECISION: "BYTES"}
    title = "Predicted probabilities of the decided class"

    def values(self, name: str, outputs: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Probabilities (rows, classes), or the names of the decided classes (rows,)."""
        return outputs if name == self.output else np.array(self.classes, dtype=object)[outputs.argmax(axis=1)]

    def agrees(
        self, logged: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.float32], tolerance: float
    ) -> npt.NDArray[np.bool_]:
        """Probabilities that are near, and a decided class that has the highest or is as near to it."""
        said = np.array([one if one is not None else [np.nan] * len(self.classes) for one in logged[PROBABILITY]])
        if said.ndim != 2 or said.shape != outputs.shape:
            return np.zeros(len(outputs), dtype=np.bool_)
        places = {name: place for place, name in enumerate(self.classes)}
        decided = np.array([places.get(name, -1) for name in logged[DECISION]])
        chosen = np.take_along_axis(outputs, decided[:, None].clip(0), axis=1)[:, 0]
        highest = (decided >= 0) & (chosen >= outputs.max(axis=1) - tolerance)
        return np.asarray(is_near(said, outputs, tolerance).all(axis=1) & highest)

    def tolerance(self, expected: npt.NDArray[Any]) -> float:
        """1e-6 of the probability."""
        del expected
        return 1e-6


@dataclass(frozen=True)
class RegressionAnswer(Answer):
    """The expected target, a number in the target's unit."""

    output = PREDICTION
    golden = "predictions"
    types: ClassVar[dict[str, AnswerType]] = {PREDICTION: "FP32"}
    title = "Predicted numbers"
    metric = "ontime_predicted_number"

    def values(self, name: str, outputs: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The numbers themselves."""
        del name
        return outputs

    def agrees(
        self, logged: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.float32], tolerance: float
    ) -> npt.NDArray[np.bool_]:
        """Numbers that are near."""
        return is_near(logged[PREDICTION], outputs, tolerance)

    def tolerance(self, expected: npt.NDArray[Any]) -> float:
        """A millionth of the largest number."""
        return 1e-6 * float(np.abs(expected).max())

    def shortened(self, value: float) -> float:
        """Nine significant digits, which a float32 has."""
        return float(f"{value:.9g}")

    def edges(self, golden: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Multiples of a power of two, twenty to forty of them, around nine tenths of the golden records' numbers.

        So two versions of a model have edges in common, by which their numbers can be compared.
        """
        low, high = np.quantile(golden, [0.05, 0.95], method="inverted_cdf").astype(np.float64)
        if low == high:
            return np.array([high])
        step = 2.0 ** np.floor(np.log2((high - low) / LEAST_BUCKETS))
        return np.asarray(np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step)

    def bound(self, edge: float) -> str:
        """As many digits as a float32 has."""
        return f"{edge:.9g}"


def is_near(logged: npt.NDArray[Any], outputs: npt.NDArray[np.float32], tolerance: float) -> npt.NDArray[np.bool_]:
    """Which numbers (rows,) are equal within a tolerance; NaN is near nothing."""
    return np.asarray(np.abs(outputs.astype(np.float64) - logged.astype(np.float64)) <= tolerance)


def one_number(outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is counted of each row (rows,): its number, of classes the probability of the decided one."""
    return outputs if outputs.ndim == 1 else np.asarray(outputs.max(axis=1))


def answer_of(task: TaskName, threshold: float | None, classes: Sequence[str] = ()) -> Answer:
    """What a model of a task answers.

    Raises:
        ValueError: it lacks the threshold, or the classes, that its task has.
    """
    if task == "regression":
        return RegressionAnswer()
    if task == "multiclass":
        if len(classes) < LEAST_CLASSES or len(set(classes)) < len(classes):
            raise ValueError(f"a {task} model needs {LEAST_CLASSES} classes or more, each with a name of its own")
        return MulticlassAnswer(tuple(classes))
    if threshold is None:
        raise ValueError(f"a {task} model needs a threshold")
    return BinaryAnswer(threshold)
