"""Shapley values by their definition: every coalition of the features is evaluated."""

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt


def by_enumeration(
    margin: Callable[[Any], npt.NDArray[np.float64]], row: npt.NDArray[np.float32], background: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Contributions (features,) of a row (features,) to its margin, against background rows (background, features)."""
    features = len(row)
    coalitions = np.arange(2**features)[:, None] >> np.arange(features) & 1
    mixed = np.where(coalitions[:, None, :] == 1, row, background)
    value = margin(mixed.reshape(-1, features)).reshape(len(coalitions), len(background)).mean(axis=1)
    contributions = np.zeros(features)
    for feature in range(features):
        without = np.flatnonzero(coalitions[:, feature] == 0)
        sizes = coalitions[without].sum(axis=1)
        weights = np.array([1 / (features * comb(features - 1, size)) for size in sizes])
        contributions[feature] = weights @ (value[without | 1 << feature] - value[without])
    return contributions
