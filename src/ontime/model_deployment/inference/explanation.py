"""What each feature of a row contributes to the champion's margin, compared with the golden records.

Trees are explained exactly by their leaves, every other model through its session by random orders of the features. Of
several classes, the probability of the decided one is explained, always so.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.inference.sampled_shapley import SampledShapley
from ontime.model_deployment.inference.tree_shapley import PathTooLongError, TreeShapley
from ontime.model_deployment.inference.trees import Margin, Scale
from ontime.tasks.names import PREDICTION, PROBABILITY

LEAST_PROBABILITY = 2.0**-24
"""Half the distance of a float32 probability from 1: log-odds stay finite."""


SCALES: dict[str, Scale] = {PROBABILITY: "log-odds", PREDICTION: "prediction"}
"""What is explained of a model without trees, by what it says."""


@dataclass(frozen=True)
class Explanation:
    """Explained rows: `base_value` and a row's `contributions` (rows, features) add up to its `margin` (rows,)."""

    contributions: npt.NDArray[np.float64]
    base_value: npt.NDArray[np.float64]
    """The mean margin of the background rows, by explained row: (rows,)."""
    margin: Margin
    scale: Scale
    exact: npt.NDArray[np.bool_]
    """Whether the contributions of each row are Shapley values within 1e-6, or estimates: (rows,)."""
    permutations: int
    """Orders of the features behind each estimate; 0 where trees are explained."""


class Explainer:
    """Explains rows of one champion; the tables that this needs are made for the first row."""

    def __init__(self, model: Champion) -> None:
        self.model = model
        of_output: Scale = "probability" if model.answer.classes else SCALES[model.answer.output]
        self.scale: Scale = model.trees.scale if model.trees else of_output

    @cached_property
    def _trees(self) -> TreeShapley | None:
        """None for a model without trees, or with a path of more features than can be counted out."""
        try:
            return TreeShapley(self.model.trees, self.model.background) if self.model.trees else None
        except PathTooLongError:
            return None

    @cached_property
    def _sampled(self) -> list[SampledShapley]:
        """One for each column of the outputs."""
        columns = range(len(self.model.answer.classes) or 1)
        background, feature_of = self.model.background, self.model.encoder.feature_of
        return [SampledShapley(partial(self._margin_of, column), background, feature_of) for column in columns]

    def _margin_of(self, column: int, matrix: Matrix) -> Margin:
        outputs = self.model.predict(matrix)
        return self._margin(outputs[:, column] if self.model.answer.classes else outputs)

    def _margin(self, outputs: npt.NDArray[np.float32]) -> Margin:
        wide = outputs.astype(np.float64)
        if self.scale != "log-odds":
            return wide
        wide = wide.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return np.asarray(np.log(wide) - np.log1p(-wide))

    def explain(self, matrix: Matrix) -> Explanation:
        """Explain encoded rows (rows, columns); what a text's columns contribute, one by one, is added up."""
        if self._trees:
            by_column, margin = self._trees.contributions(matrix)
            contributions = np.zeros((len(matrix), len(self.model.encoder.features)))
            np.add.at(contributions.T, self.model.encoder.feature_of, by_column.T)
            base_value, exact = np.full(len(matrix), self._trees.base_value), np.ones(len(matrix), dtype=np.bool_)
            return Explanation(contributions, base_value, margin, self.scale, exact, 0)
        outputs = self.model.predict(matrix)
        decided = outputs.argmax(axis=1) if outputs.ndim > 1 else np.zeros(len(matrix), dtype=np.int64)
        found = [self._sampled[column].contributions(row) for column, row in zip(decided, matrix, strict=True)]
        contributions, base_value = (np.array(values) for values in zip(*found, strict=True))
        exact = np.zeros(len(matrix), dtype=np.bool_)
        margin = base_value + contributions.sum(axis=1)
        return Explanation(contributions, base_value, margin, self.scale, exact, self._sampled[0].permutations)
