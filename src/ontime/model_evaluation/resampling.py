"""How far a metric may move by chance: resamples of rows, on which models are measured side by side.

The paired bootstrap of Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 12: every model is
measured on the same resampled rows, so variation that the rows have in common cancels in a difference. Rows that are
not independent, such as those of one group or day, are drawn together (Field and Welsh 2007, "Bootstrapping clustered
data"). Resamples have a seed, and sums are those of numpy, in one order on every processor.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from ontime.common.arrays import Labels, Outputs, Probability, Target, Weights
from ontime.common.errors import OntimeError
from ontime.model_evaluation.metrics import row_log_losses

Times = npt.NDArray[np.int64]
Score = Callable[[npt.NDArray[Any]], float]
"""A metric, given how many times each row counts (rows,), or the sum of its weights."""
OF_NUMBERS = ("rmse", "mae", "r2")
OF_CLASSES = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")
LESS_IS_BETTER = {"log_loss", "brier_score", "cost_per_1000", "rmse", "mae"}


def resamples(group: Times, count: int, seed: int) -> Iterator[Times]:
    """How many times each row (rows,) counts in each of so many resamples of whole groups.

    Args:
        group: which group each row (rows,) is drawn with, numbered from 0; a number of its own for a row alone.
    """
    groups = int(group.max()) + 1
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield np.bincount(random.integers(0, groups, groups), minlength=groups)[group]


def weighted(score: Score, weights: Weights | None) -> Score:
    """The metric where each row counts by its weight (rows,) as many times as it is drawn; without weights itself."""
    return score if weights is None else lambda times: score(times * weights)


def score_of(name: str, labels: Target, probability: Outputs, weights: Weights | None = None) -> Score:
    """A metric of a task by its name, but one of costs; what does not depend on the resample is done once.

    Args:
        labels: 0 and 1, numbers of classes, or numbers (rows,).
        probability: what a model says of them, a probability or a number (rows,), or of each class (rows, classes).
        weights: what each row counts (rows,).

    Raises:
        OntimeError: it is no metric of classes, or of nothing else.
    """
    return weighted(_score_of(name, labels, probability), weights)


def _score_of(name: str, labels: Target, probability: Outputs) -> Score:
    if probability.ndim > 1:
        return _class_score(name, labels, probability)
    if name in OF_NUMBERS:
        return _number_score(name, labels, probability)
    if name == "roc_auc":
        return _roc_auc(labels, probability)
    if name == "pr_auc":
        return _pr_auc(labels, probability)
    costs = {"log_loss": row_log_losses, "brier_score": _squares}
    if name not in costs:
        raise OntimeError(f"params.yaml: {name}: a metric of classes, and the target has none")
    return mean_of(costs[name](labels, probability))


def _number_score(name: str, target: Target, outputs: Outputs) -> Score:
    """An error in the target's unit, or the share of its variance that is explained."""
    squared = mean_of((outputs - target) ** 2)
    if name == "mae":
        return mean_of(np.abs(outputs - target))
    if name == "rmse":
        return lambda times: float(np.sqrt(squared(times)))

    def score(times: Times) -> float:
        mean = (times * target).sum() / times.sum()
        variance = float((times * (target - mean) ** 2).sum() / times.sum())
        return 1 - squared(times) / variance if variance else float("nan")

    return score


def _class_score(name: str, target: Target, probability: Outputs) -> Score:
    """A metric of probabilities of classes (rows, classes)."""
    if name not in OF_CLASSES:
        raise OntimeError(f"params.yaml: {name}: no metric of classes; known: {', '.join(OF_CLASSES)}")
    if name == "log_loss":
        return mean_of(row_log_losses(target, probability))
    decided = probability.argmax(axis=1)
    if name == "accuracy":
        return mean_of((decided == target).astype(np.float64))
    members = [target == number for number in range(probability.shape[1])]
    if name == "roc_auc_ovr":
        scores = [_roc_auc(one.astype(np.int8), probability[:, number]) for number, one in enumerate(members)]
        return lambda times: float(np.mean([score(times) for score in scores]))

    def f1_macro(times: Times) -> float:
        found = []
        for number, member in enumerate(members):
            chosen = decided == number
            both = times[chosen].sum() + times[member].sum()
            found.append(2 * times[chosen & member].sum() / both if both else 0.0)
        return float(np.mean(found))

    return f1_macro


def _squares(labels: Labels, probability: Probability) -> Probability:
    return np.asarray((probability - (labels == 1)) ** 2, dtype=np.float64)


def mean_of(cost: Probability) -> Score:
    """The mean of a cost of each row (rows,)."""
    return lambda times: float((times * cost).sum() / times.sum())


def _pr_auc(labels: Labels, probability: Probability) -> Score:
    """PR AUC, NaN if the rows that count are of one class."""

    def score(times: Times) -> float:
        if not 0 < (times * labels).sum() < times.sum():
            return float("nan")
        return float(average_precision_score(labels, probability, sample_weight=times))

    return score


def _roc_auc(labels: Labels, probability: Probability) -> Score:
    """ROC AUC, NaN if the rows that count are of one class; rows are sorted once, because sorting is slow."""
    order = np.argsort(probability, kind="stable")
    first = np.concatenate([[0], np.flatnonzero(np.diff(probability[order])) + 1])
    event = labels[order] == 1

    def score(times: Times) -> float:
        events = np.add.reduceat(times[order] * event, first)
        others = np.add.reduceat(times[order] * ~event, first)
        pairs = events.sum() * others.sum()
        # of every pair of an event and another row: is the event's probability above, equal pairs counting half
        return float((events * (np.cumsum(others) - others / 2)).sum() / pairs) if pairs else float("nan")

    return score
