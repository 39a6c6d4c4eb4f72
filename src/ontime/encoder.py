"""From records to the model's matrix; training, evaluation, batch scoring and the service share it.

In: columns by name and `vocabulary.json`. Out: one float32 matrix, numbers first, then a code per category:
0 for a value that training did not see (or saw too rarely), 1 for a missing one, 2 and up for the vocabulary.
A missing number is NaN. Needs numpy alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

UNKNOWN, MISSING, FIRST_CATEGORY = 0, 1, 2


@dataclass(frozen=True)
class Encoder:
    """Feature names in the matrix's order, and for each category feature its known values in the order of codes."""

    numbers: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def from_vocabulary(cls, vocabulary: Mapping[str, Any]) -> "Encoder":
        """From the content of `vocabulary.json`."""
        categories = {name: tuple(values) for name, values in vocabulary["categories"].items()}
        return cls(tuple(vocabulary["numbers"]), categories)

    @property
    def features(self) -> list[str]:
        """Names of the matrix's columns."""
        return [*self.numbers, *self.categories]

    @property
    def category_sizes(self) -> list[int]:
        """Number of codes of each category feature."""
        return [len(values) + FIRST_CATEGORY for values in self.categories.values()]

    def transform(self, columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Encode columns of equal length.

        Args:
            columns: for each feature its values; None or NaN where missing.

        Returns:
            float32 matrix (rows, features).
        """
        rows = len(columns[self.features[0]])
        matrix = np.empty((rows, len(self.features)), dtype=np.float32)
        for place, name in enumerate(self.numbers):
            matrix[:, place] = np.asarray(columns[name], dtype=np.float64)
        for place, (name, values) in enumerate(self.categories.items(), start=len(self.numbers)):
            codes = {value: code for code, value in enumerate(values, start=FIRST_CATEGORY)}
            matrix[:, place] = [
                codes.get(value, UNKNOWN) if isinstance(value, str) else MISSING for value in columns[name]
            ]
        return matrix
