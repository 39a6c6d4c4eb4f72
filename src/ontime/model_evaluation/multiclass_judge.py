"""How probabilities of classes are judged: their log loss, how they rank each class, and the most probable class.

Nothing is chosen on validation: decided is the class with the highest probability, whatever a mistake costs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Labels, Outputs, Probability, Target
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import (
    DIGITS,
    SLICE_ROWS,
    calibration_curve,
    expected_calibration_error,
    roc_curve,
    row_log_losses,
    slice_values,
)


class MulticlassJudge(Judge):
    """Judges probabilities (rows, classes) of the numbers of classes (rows,)."""

    accepted = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")
    slice_metric = "log_loss"
    compared = ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro")
    drawn: ClassVar[dict[str, tuple[str, str, str]]] = {
        "roc": ("false_positive_rate", "true_positive_rate", "ROC on test, every class against the others"),
        "calibration": ("probability", "share_of_rows", "Calibration on test, of all classes"),
    }

    def summarize(self, target: Target, outputs: Outputs, rule: Rule) -> dict[str, Any]:
        """Log loss, the mean ROC AUC of each class against the others, accuracy, mean F1, mean calibration error.

        Classwise calibration error: Kull et al. 2019, "Beyond temperature scaling".
        """
        del rule
        classes = [(labels, column) for _, labels, column in self._one_by_one(target, outputs)]
        decided = outputs.argmax(axis=1)
        numbers = {
            "log_loss": np.mean(row_log_losses(target, outputs)),
            "roc_auc_ovr": np.mean([metrics.roc_auc_score(*one) for one in classes]),
            "accuracy": np.mean(decided == target),
            "f1_macro": metrics.f1_score(
                target, decided, labels=range(outputs.shape[1]), average="macro", zero_division=0
            ),
            "expected_calibration_error": np.mean([expected_calibration_error(*one) for one in classes]),
        }
        return {**{name: round(float(value), DIGITS) for name, value in numbers.items()}, "rows": len(target)}

    def by_slice(
        self, rows: pd.DataFrame, columns: list[str], target: Target, outputs: Outputs, rule: Rule
    ) -> pd.DataFrame:
        """Log loss and accuracy, which are missing where a slice has fewer than 50 rows."""
        del rule
        found: list[Mapping[str, Any]] = []
        for name, part in slice_values(rows, columns):
            enough = part.sum() >= SLICE_ROWS
            loss = np.mean(row_log_losses(target[part], outputs[part])) if enough else None
            right = float(np.mean(outputs[part].argmax(axis=1) == target[part])) if enough else None
            found.append(
                {
                    "slice": name,
                    "rows": int(part.sum()),
                    "log_loss": None if loss is None else round(float(loss), DIGITS),
                    "accuracy": None if right is None else round(right, DIGITS),
                }
            )
        return pd.DataFrame(found, columns=["slice", "rows", "log_loss", "accuracy"])

    def curves(self, target: Target, outputs: Outputs) -> dict[str, pd.DataFrame]:
        """ROC and calibration of all classes, the calibration of each, what is decided of each, and its metrics."""
        numbers = range(outputs.shape[1])
        labels = (target[:, None] == np.arange(outputs.shape[1])).astype(np.int8)
        names = np.array(self.classes or [str(number) for number in numbers], dtype=object)
        confusion = metrics.confusion_matrix(target, outputs.argmax(axis=1), labels=numbers)
        by_class = [
            _calibration(labels, column).assign(**{"class": name})
            for name, labels, column in self._one_by_one(target, outputs)
        ]
        return {
            "roc": roc_curve(labels.ravel(), outputs.ravel()),
            "calibration": _calibration(labels.ravel(), outputs.ravel()),
            "calibration_by_class": pd.concat(by_class)[["class", "probability", "share_of_rows", "rows"]],
            "confusion": pd.DataFrame(
                {
                    "class": np.repeat(names, len(names)),
                    "decided": np.tile(names, len(names)),
                    "rows": confusion.ravel(),
                }
            ),
            "classes": pd.DataFrame(self._class_rows(target, outputs)),
        }

    def _class_rows(self, target: Target, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """What is measured of each class against the others."""
        decided = outputs.argmax(axis=1)
        for number, (name, labels, column) in enumerate(self._one_by_one(target, outputs)):
            chosen: npt.NDArray[np.bool_] = decided == number
            hits = int((chosen & (labels == 1)).sum())
            measured = {
                "precision": hits / max(int(chosen.sum()), 1),
                "recall": hits / max(int(labels.sum()), 1),
                "roc_auc": metrics.roc_auc_score(labels, column),
                "mean_probability": column.mean(),
                "expected_calibration_error": expected_calibration_error(labels, column),
            }
            rounded = {word: round(float(value), DIGITS) for word, value in measured.items()}
            yield {"class": name, "rows": int(labels.sum()), **rounded}

    def _one_by_one(self, target: Target, outputs: Outputs) -> Iterator[tuple[str, Labels, Probability]]:
        """Each class's name, whether a row is of it (rows,), and its probability (rows,)."""
        for number in range(outputs.shape[1]):
            name = self.classes[number] if self.classes else str(number)
            yield name, (target == number).astype(np.int8), outputs[:, number]


def _calibration(labels: Labels, probability: Probability) -> pd.DataFrame:
    found = calibration_curve(labels, probability).round(DIGITS)
    return found.rename(columns={"share_of_events": "share_of_rows"})
