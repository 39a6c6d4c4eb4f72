"""How predicted numbers are judged: errors in the target's unit, and the share of its variance that is explained.

Rounded to six significant digits, because the unit may be any.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.weights import size_of
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import CURVE_POINTS, SLICE_ROWS, equal_bins
from ontime.tasks.regression import significant


class RegressionJudge(Judge):
    """Judges predictions (rows,) of numbers (rows,)."""

    accepted = ("rmse", "mae", "r2")
    slice_metric = "rmse"
    slice_columns = ("mean_target", "mean_prediction", "rmse", "mae")
    compared = ("rmse", "mae", "r2")
    pair = ("mean_target", "mean_prediction")
    drawn: ClassVar[dict[str, tuple[str, str, str]]] = {
        "errors": ("absolute_error", "share_of_rows", "Absolute errors on test"),
        "calibration": ("prediction", "target", "Calibration on test"),
    }

    def summarize(self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None) -> dict[str, Any]:
        """Root mean squared error, mean absolute error, R2, and the mean error."""
        del rule
        numbers = {
            "rmse": metrics.root_mean_squared_error(target, outputs, sample_weight=weights),
            "mae": metrics.mean_absolute_error(target, outputs, sample_weight=weights),
            "r2": metrics.r2_score(target, outputs, sample_weight=weights),
            "mean_error": np.average(outputs - target, weights=weights),
            "mean_target": np.average(target, weights=weights),
        }
        return {**{name: significant(value) for name, value in numbers.items()}, **size_of(len(target), weights)}

    def slice_figures(
        self, target: Target, outputs: Outputs, rule: Rule, weights: Weights | None = None
    ) -> Mapping[str, Any]:
        """Mean target and prediction, and the errors, which are missing where a slice has fewer than 50 rows."""
        del rule
        enough, error = len(target) >= SLICE_ROWS, outputs - target
        return {
            "mean_target": significant(np.average(target, weights=weights)),
            "mean_prediction": significant(np.average(outputs, weights=weights)),
            "rmse": significant(np.sqrt(np.average(error**2, weights=weights))) if enough else None,
            "mae": significant(np.average(np.abs(error), weights=weights)) if enough else None,
        }

    def curves(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> dict[str, pd.DataFrame]:
        """Mean target by prediction, in ten bins of equal size, and the share of rows by absolute error."""
        calibration = equal_bins(outputs, {"prediction": outputs, "target": target}, weights)
        for name in ("prediction", "target"):
            calibration[name] = [significant(value) for value in calibration[name]]
        share = np.linspace(0, 1, min(CURVE_POINTS, len(target)) + 1)[1:]
        error = np.quantile(np.abs(outputs - target), share, method="inverted_cdf", weights=weights)
        errors = {
            "absolute_error": [significant(value) for value in error],
            "share_of_rows": [significant(value) for value in share],
        }
        return {"calibration": calibration, "errors": pd.DataFrame(errors)}
