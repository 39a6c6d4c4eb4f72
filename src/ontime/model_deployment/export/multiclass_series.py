"""What labels say of probabilities of classes.

As of an event: from the probabilities alone follows how often each class is to be expected, and the log loss and the
accuracy of the rows, if the probabilities are right. That is NannyML's CBPE for several classes
(https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html); of the log loss it is the mean
entropy of the rows' probabilities, of the accuracy their mean highest probability.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ontime.common.arrays import Outputs, Target
from ontime.model_deployment.export.label_sums import (
    ALL,
    LEAST_PROBABILITY,
    OFFSET,
    Counts,
    Floats,
    Measures,
    Series,
    Sums,
    less_rest,
)
from ontime.tasks.names import PROBABILITY

FIRST_CLASS = 5
"""Place of the first class among the sums."""


class MulticlassMeasures(Measures):
    """Sums of rows, log losses, right decisions and what is expected of both; rows and probabilities of each class."""

    output = PROBABILITY

    @property
    def width(self) -> int:
        """Two sums for each class beside those of all."""
        return FIRST_CLASS + 2 * len(self.classes)

    def of_rows(self, target: Target, outputs: Outputs) -> Floats:
        """Of numbers of classes (rows,) and probabilities (rows, classes)."""
        clipped = np.clip(outputs, LEAST_PROBABILITY, 1)
        loss = -np.log(clipped)
        told = target.astype(np.intp)
        of_all = [
            np.ones(len(target)),
            np.take_along_axis(loss, told[:, None], axis=1)[:, 0],
            (clipped * loss).sum(axis=1),
            outputs.argmax(axis=1) == told,
            outputs.max(axis=1),
        ]
        members = told == np.arange(len(self.classes))[:, None]
        return np.concatenate([np.stack(of_all), members, outputs.T])

    def quality(self, sums: Sums, usual: Mapping[Series, float]) -> dict[str, dict[str, float]]:
        """Log loss and accuracy, which the probabilities alone expect too."""
        del usual
        rows, loss, expected_loss, right, expected_right = sums.segments[ALL][:FIRST_CLASS]
        return {
            "log_loss": {"truth": float(loss / rows), "expected": float(expected_loss / rows)},
            "accuracy": {"truth": float(right / rows), "expected": float(expected_right / rows)},
        }

    def shifts(self, segments: Sequence[str], measures: Floats, bins: Counts) -> dict[Series, Floats]:
        """`log_loss` and `accuracy` of all rows less what the probabilities expect, and the offsets of each class.

        A class's `offset` is its share less its mean probability; of a segment, less that of the rest.
        """
        del bins
        rows, loss, expected_loss, right, expected_right = np.moveaxis(measures[..., :FIRST_CLASS], -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: dict[Series, Floats] = {
                ("log_loss", ALL): (loss - expected_loss)[:, 0] / rows[:, 0],
                ("accuracy", ALL): (right - expected_right)[:, 0] / rows[:, 0],
            }
        members, probability = np.split(measures[..., FIRST_CLASS:], 2, axis=-1)
        for place, name in enumerate(self.classes):
            offset = less_rest(segments, rows, (members - probability)[..., place])
            found |= {(f"{OFFSET} of {name}", segment): values for segment, values in offset.items()}
        return found

    def of_segment(self, sums: Floats) -> dict[str, float]:
        """Log loss and accuracy."""
        rows, loss, _, right, _ = sums[:FIRST_CLASS]
        return {"log_loss": loss / rows, "accuracy": right / rows}
