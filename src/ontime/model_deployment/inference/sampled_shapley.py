"""Contributions of features to any model, from random orders of the features: Shapley values against background rows.

For each background row, pairs of orders, one the reverse of the other: feature by feature its values are replaced by
the explained row's, and what a replacement adds to the margin is the feature's. So contributions always add up to the
difference of the margins; each is a mean over the orders, and for a sum of functions of one feature each it is exact.

Castro, Gomez and Tejada 2009, "Polynomial calculation of the Shapley value based on sampling"; antithetic orders after
Mitchell, Cooper, Frank and Holmes 2022, "Sampling permutations for Shapley value estimation".
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix

SEED = 0
LEAST_PAIRS = 128
"""Of orders; each background row gets the same number of pairs."""
PAIRS_AT_ONCE = 8
"""Pairs of orders whose rows are computed in one run of the model."""


class SampledShapley:
    """Orders of the features for each background row (background, columns), the same for every explained row.

    Args:
        margin: of encoded rows (rows, columns): (rows,).
        feature_of: for each column the place of its feature: (columns,).
    """

    def __init__(
        self,
        margin: Callable[[Matrix], npt.NDArray[np.float64]],
        background: Matrix,
        feature_of: npt.NDArray[np.intp],
    ) -> None:
        self.margin, self.feature_of = margin, feature_of
        self.background = np.tile(background, (-(-LEAST_PAIRS // len(background)), 1))
        """The background row of each pair: (pairs, columns)."""
        random, features = np.random.default_rng(SEED), int(feature_of.max()) + 1
        forward = np.array([random.permutation(features) for _ in self.background])
        self.rank = np.stack([forward, forward.shape[1] - 1 - forward], axis=1)
        """Position of each feature in each order: (pairs, 2, features)."""

    @property
    def permutations(self) -> int:
        """Number of orders."""
        return 2 * len(self.background)

    def contributions(self, row: Matrix) -> tuple[npt.NDArray[np.float64], float]:
        """Contributions of one encoded row (columns,).

        Returns:
            The contributions (features,), and the mean margin of the background rows.
        """
        features = self.rank.shape[2]
        steps = np.arange(features + 1)
        total, base = np.zeros(features), 0.0
        for at in range(0, len(self.background), PAIRS_AT_ONCE):
            rank, other = self.rank[at : at + PAIRS_AT_ONCE], self.background[at : at + PAIRS_AT_ONCE]
            # (pair, order, step, column): the features whose turn has come are the row's
            turn = rank[:, :, None, self.feature_of]
            mixed = np.where(steps[:, None] > turn, row, other[:, None, None, :])
            margin = self.margin(mixed.reshape(-1, len(row))).reshape(mixed.shape[:3])
            added = np.take_along_axis(np.diff(margin, axis=2), rank, axis=2)
            total += added.sum(axis=(0, 1))
            base += margin[:, :, 0].sum()
        return total / self.permutations, base / self.permutations
