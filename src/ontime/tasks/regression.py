"""How much it is: a target of numbers, for which a model gives a number in the same unit."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Outputs, Target, Weights
from ontime.tasks.names import PREDICTION
from ontime.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

STRATA = 20
"""Groups of the target's neighbours that a stratified split divides in the same shares."""
LEAST_VALUES = 3


def significant(value: Any) -> float:
    """A number with six significant digits."""
    return float(f"{float(value):.6g}")


class Regression(Task):
    """A model's output is the expected target: (rows,)."""

    name = "regression"
    output = PREDICTION
    loss_name = "rmse"
    estimator = "Regressor"
    head = "linear"
    baselines = ("mean", "group_mean")
    metrics = ("rmse", "mae", "r2")

    def loss(self, target: Target, outputs: Outputs, weights: Weights | None = None) -> float:
        """Root of the mean squared error, in the target's unit."""
        return float(np.sqrt(np.average((target - outputs) ** 2, weights=weights)))

    def loss_of_boosting(self, told: float) -> float:
        """From half the mean squared error."""
        return float(np.sqrt(2 * told))

    def rounded(self, loss: float) -> float:
        """Six significant digits, because the target's unit may be any."""
        return significant(loss)

    def fault(self, target: "pd.Series[Any]") -> str | None:
        """Too few values to learn or to judge from."""
        found = target.nunique()
        return None if found >= LEAST_VALUES else f"{found} different values and needs {LEAST_VALUES}"

    def strata(self, target: "pd.Series[Any]") -> list[npt.NDArray[np.intp]]:
        """Rows with neighbouring targets, equally many in each group."""
        known = np.flatnonzero(target.notna())
        order = known[np.argsort(target.to_numpy(dtype=np.float64)[known], kind="stable")]
        return [part for part in np.array_split(order, min(STRATA, max(1, len(order) // STRATA))) if len(part)]

    def order(self, target: "pd.Series[Any]") -> "pd.Series[Any]":
        """The target: categories are ordered by their mean."""
        return target
