"""How predicted numbers are judged: errors in the target's unit, and the share of its variance that is explained.

Rounded to six significant digits, because the unit may be any.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Outputs, Target
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import CALIBRATION_BINS, CURVE_POINTS, SLICE_ROWS, slice_values
from ontime.tasks.regression import significant


class RegressionJudge(Judge):
    """Judges predictions (rows,) of numbers (rows,)."""

    accepted = ("rmse", "mae", "r2")
    slice_metric = "rmse"
    compared = ("rmse", "mae", "r2")
    pair = ("mean_target", "mean_prediction")
    drawn: ClassVar[dict[str, tuple[str, str, str]]] = {
        "errors": ("absolute_error", "share_of_rows", "Absolute errors on test"),
        "calibration": ("prediction", "target", "Calibration on test"),
    }

    def summarize(self, target: Target, outputs: Outputs, rule: Rule) -> dict[str, Any]:
        """Root mean squared error, mean absolute error, R2, and the mean error."""
        del rule
        numbers = {
            "rmse": metrics.root_mean_squared_error(target, outputs),
            "mae": metrics.mean_absolute_error(target, outputs),
            "r2": metrics.r2_score(target, outputs),
            "mean_error": np.mean(outputs - target),
            "mean_target": np.mean(target),
        }
        return {**{name: significant(value) for name, value in numbers.items()}, "rows": len(target)}

    def by_slice(
        self, rows: pd.DataFrame, columns: list[str], target: Target, outputs: Outputs, rule: Rule
    ) -> pd.DataFrame:
        """Mean target and prediction, and the errors, which are missing where a slice has fewer than 50 rows."""
        del rule
        found: list[Mapping[str, Any]] = []
        for name, part in slice_values(rows, columns):
            enough = part.sum() >= SLICE_ROWS
            error = outputs[part] - target[part]
            found.append(
                {
                    "slice": name,
                    "rows": int(part.sum()),
                    "mean_target": significant(target[part].mean()),
                    "mean_prediction": significant(outputs[part].mean()),
                    "rmse": significant(np.sqrt(np.mean(error**2))) if enough else None,
                    "mae": significant(np.mean(np.abs(error))) if enough else None,
                }
            )
        return pd.DataFrame(found, columns=["slice", "rows", "mean_target", "mean_prediction", "rmse", "mae"])

    def curves(self, target: Target, outputs: Outputs) -> dict[str, pd.DataFrame]:
        """Mean target by prediction, in ten bins with equally many rows, and the share of rows by absolute error."""
        order = np.argsort(outputs, kind="stable")
        bins = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
        calibration = {
            "prediction": [significant(outputs[part].mean()) for part in bins],
            "target": [significant(target[part].mean()) for part in bins],
            "rows": [len(part) for part in bins],
        }
        share = np.linspace(0, 1, min(CURVE_POINTS, len(target)) + 1)[1:]
        error = np.quantile(np.abs(outputs - target), share, method="inverted_cdf")
        errors = {
            "absolute_error": [significant(value) for value in error],
            "share_of_rows": [significant(value) for value in share],
        }
        return {"calibration": pd.DataFrame(calibration), "errors": pd.DataFrame(errors)}
