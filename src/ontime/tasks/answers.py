"""What a model of each task answers: in the service, in batch scoring, in the log and in golden records.

The service's image contains this module and the names alone of the package: nothing of training or evaluation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ontime.tasks.names import PREDICTION, PROBABILITY, TaskName

DECISION = "decision"
AnswerType = Literal["FP32", "BOOL"]
"""Datatypes of the Open Inference Protocol."""


class Answer(ABC):
    """What is answered for the numbers that the model's graph gives: (rows,)."""

    output: ClassVar[str]
    """The graph's output tensor, and what its numbers are called wherever they are given."""
    golden: ClassVar[str]
    """What the numbers of golden records are called."""
    types: ClassVar[dict[str, AnswerType]]
    """Each output of the service, the graph's own first."""
    title: ClassVar[str]
    """What the numbers are, for people."""
    metric: ClassVar[str]
    """The service's histogram of the numbers."""

    @abstractmethod
    def values(self, name: str, outputs: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """One of the service's outputs for the graph's numbers: (rows,)."""

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


@dataclass(frozen=True)
class BinaryAnswer(Answer):
    """The probability of the event, and whether it is at the threshold or above."""

    threshold: float
    output = PROBABILITY
    golden = "probabilities"
    types: ClassVar[dict[str, AnswerType]] = {PROBABILITY: "FP32", DECISION: "BOOL"}
    title = "Predicted probabilities"
    metric = "ontime_predicted_probability"

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

    def shortened(self, value: float) -> float:
        """Nine decimals."""
        return round(value, 9)

    def edges(self, golden: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Twenty buckets of equal width."""
        del golden
        return np.linspace(0.05, 1.0, 20)


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
        """Quantiles of the golden records' numbers, so that each bucket has about as many rows."""
        return np.unique(np.quantile(golden, np.linspace(0.05, 1.0, 20), method="inverted_cdf")).astype(np.float64)

    def bound(self, edge: float) -> str:
        """As many digits as a float32 has."""
        return f"{edge:.9g}"


def is_near(logged: npt.NDArray[Any], outputs: npt.NDArray[np.float32], tolerance: float) -> npt.NDArray[np.bool_]:
    """Which numbers (rows,) are equal within a tolerance; NaN is near nothing."""
    return np.asarray(np.abs(outputs.astype(np.float64) - logged.astype(np.float64)) <= tolerance)


def answer_of(task: TaskName, threshold: float | None) -> Answer:
    """What a model of a task answers; a binary one has a threshold."""
    if task == "regression":
        return RegressionAnswer()
    if threshold is None:
        raise ValueError(f"a {task} model needs a threshold")
    return BinaryAnswer(threshold)
