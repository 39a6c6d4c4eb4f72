"""What labels say of predicted numbers.

A predicted number says nothing of its own error, so no loss can be expected from predictions alone. The loss that
happened is compared with what it was on the days of the reference, whose models had not seen them: a control chart
(Shewhart 1931, "Economic control of quality of manufactured product"), as in the thresholds of NannyML for realized
performance (https://nannyml.readthedocs.io/en/stable/how_it_works/thresholds.html), with limits for the same rate of
false alarms as those of an event. A week that is harder to predict than those of the reference raises an alarm although
the model is sound: probabilities would have foreseen it, numbers do not. Models of the reference had fewer rows than
the served one, so that their usual loss is rather too high. The mean error has neither weakness.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from ontime.common.arrays import Outputs, Target
from ontime.model_deployment.export.label_sums import ALL, OFFSET, Counts, Floats, Measures, Series, Sums, less_rest
from ontime.tasks.names import PREDICTION

RMSE = "rmse"


class RegressionMeasures(Measures):
    """Sums of rows, targets, predictions, errors (target less prediction), squared errors and absolute errors."""

    output = PREDICTION
    not_centred: ClassVar[frozenset[str]] = frozenset({RMSE})
    width = 6

    def of_rows(self, target: Target, outputs: Outputs) -> Floats:
        """Of numbers (rows,) and predictions (rows,)."""
        error = target - outputs
        return np.stack([np.ones(len(target)), target, outputs, error, error**2, np.abs(error)])

    def quality(self, sums: Sums, usual: Mapping[Series, float]) -> dict[str, dict[str, float]]:
        """Root of the mean squared error, which is expected to be as usual, and mean absolute error."""
        rows, _, _, _, squared, absolute = sums.segments[ALL]
        return {
            RMSE: {"truth": float(np.sqrt(squared / rows)), "expected": usual.get((RMSE, ALL), float("nan"))},
            "mae": {"truth": float(absolute / rows)},
        }

    def shifts(self, segments: Sequence[str], measures: Floats, bins: Counts) -> dict[Series, Floats]:
        """`offset` is the mean target less the mean prediction; of a segment, less that of the rest.

        `rmse` is the root of the mean squared error of all rows.
        """
        del bins
        rows, _, _, error, squared, _ = np.moveaxis(measures, -1, 0)
        offset = less_rest(segments, rows, error)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: dict[Series, Floats] = {
                (OFFSET, ALL): offset.pop(ALL),
                (RMSE, ALL): np.sqrt(squared[:, 0] / rows[:, 0]),
            }
        return found | {(OFFSET, name): values for name, values in offset.items()}

    def of_segment(self, sums: Floats) -> dict[str, float]:
        """Mean target, mean prediction and root of the mean squared error."""
        rows, target, prediction, _, squared, _ = sums
        return {
            "mean_target": target / rows,
            "mean_prediction": prediction / rows,
            RMSE: float(np.sqrt(squared / rows)),
        }
