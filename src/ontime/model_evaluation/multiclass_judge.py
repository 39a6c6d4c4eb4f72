"""How probabilities of classes are judged: their log loss, how they rank each class, and the most probable class.

Nothing is chosen on validation: decided is the class with the highest probability, whatever a mistake costs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Labels, Outputs, Probability, Target, Weights
from ontime.common.weights import size_of, weights_at
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import (
    DIGITS,
    SLICE_ROWS,
    calibration_curve,
    counted,
    expected_calibration_error,
    roc_curve,
    row_log_losses,
    share,
)


class MulticlassJudge(Judge):
    """Judges probabilities (rows, classes) of the numbers of classes (rows,)."""

    accepted = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")
    slice_metric = "log_loss"
    slice_columns = ("log_loss", "accuracy")
    compared = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")
    drawn: ClassVar[dict[str, tuple[str, str, str]]] = {
        "roc": ("false_positive_rate", "true_positive_rate", "ROC on test, every class against the others"),
        "calibration": ("probability", "share_of_rows", "Calibration on test, of all classes"),
    }

    def summarize(self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None) -> dict[str, Any]:
        """Log loss, the mean ROC AUC of each class against the others, accuracy, mean F1, mean calibration error.

        Classwise calibration error: Kull et al. 2019, "Beyond temperature scaling".
        """
        del rule
        classes = [(labels, column) for _, labels, column in self._one_by_one(target, outputs)]
        decided = outputs.argmax(axis=1)
        numbers = {
            "log_loss": np.average(row_log_losses(target, outputs), weights=weights),
            "roc_auc_ovr": np.mean([metrics.roc_auc_score(*one, sample_weight=weights) for one in classes]),
            "accuracy": np.average(decided == target, weights=weights),
            "f1_macro": metrics.f1_score(
                target,
                decided,
                labels=range(outputs.shape[1]),
                average="macro",
                sample_weight=weights,
                zero_division=0,
            ),
            "expected_calibration_error": np.mean([expected_calibration_error(*one, weights) for one in classes]),
        }
        rounded = {name: round(float(value), DIGITS) for name, value in numbers.items()}
        return {**rounded, **size_of(len(target), weights)}

    def slice_figures(
        self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None
    ) -> Mapping[str, Any]:
        """Log loss and accuracy, which are missing where a slice has fewer than 50 rows."""
        del rule
        if len(target) < SLICE_ROWS:
            return dict.fromkeys(self.slice_columns)
        loss = np.average(row_log_losses(target, outputs), weights=weights)
        right = np.average(outputs.argmax(axis=1) == target, weights=weights)
        return {"log_loss": round(float(loss), DIGITS), "accuracy": round(float(right), DIGITS)}

    def curves(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> dict[str, pd.DataFrame]:
        """ROC and calibration of all classes, the calibration of each, what is decided of each, and its metrics."""
        numbers = range(outputs.shape[1])
        labels = (target[:, None] == np.arange(outputs.shape[1])).astype(np.int8)
        names = np.array(self.classes or [str(number) for number in numbers], dtype=object)
        decided = outputs.argmax(axis=1)
        confusion = {"rows": metrics.confusion_matrix(target, decided, labels=numbers).ravel()}
        if weights is not None:
            found = metrics.confusion_matrix(target, decided, labels=numbers, sample_weight=weights)
            confusion["sum_of_weights"] = found.ravel()
        by_class = pd.concat(
            [
                _calibration(labels, column, weights).assign(**{"class": name})
                for name, labels, column in self._one_by_one(target, outputs)
            ]
        )
        every = None if weights is None else np.repeat(weights, len(names))
        return {
            "roc": roc_curve(labels.ravel(), outputs.ravel(), every),
            "calibration": _calibration(labels.ravel(), outputs.ravel(), every),
            "calibration_by_class": by_class[["class", *by_class.columns.drop("class")]],
            "confusion": pd.DataFrame(
                {"class": np.repeat(names, len(names)), "decided": np.tile(names, len(names)), **confusion}
            ),
            "classes": pd.DataFrame(self._class_rows(target, outputs, weights)),
        }

    def _class_rows(self, target: Target, outputs: Outputs, weights: Weights | None) -> Iterator[dict[str, Any]]:
        """What is measured of each class against the others."""
        decided = outputs.argmax(axis=1)
        for number, (name, labels, column) in enumerate(self._one_by_one(target, outputs)):
            chosen: npt.NDArray[np.bool_] = decided == number
            member: npt.NDArray[np.bool_] = labels == 1
            hits = counted(chosen & member, weights)
            measured = {
                "precision": share(hits, counted(chosen, weights)),
                "recall": share(hits, counted(member, weights)),
                "roc_auc": metrics.roc_auc_score(labels, column, sample_weight=weights),
                "mean_probability": np.average(column, weights=weights),
                "expected_calibration_error": expected_calibration_error(labels, column, weights),
            }
            rounded = {word: round(float(value), DIGITS) for word, value in measured.items()}
            of_class = weights_at(weights, member)
            yield {"class": name, **size_of(int(member.sum()), of_class), **rounded}

    def _one_by_one(self, target: Target, outputs: Outputs) -> Iterator[tuple[str, Labels, Probability]]:
        """Each class's name, whether a row is of it (rows,), and its probability (rows,)."""
        for number in range(outputs.shape[1]):
            name = self.classes[number] if self.classes else str(number)
            yield name, (target == number).astype(np.int8), outputs[:, number]


def _calibration(labels: Labels, probability: Probability, weights: Weights | None) -> pd.DataFrame:
    found = calibration_curve(labels, probability, weights).round(DIGITS)
    return found.rename(columns={"share_of_events": "share_of_rows"})
