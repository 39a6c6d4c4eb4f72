"""From records to the model's matrix; training, evaluation, batch scoring and the service share it.

In: columns by name and `vocabulary.json`. Out: one float32 matrix, numbers first, then a code per category:
0 for a value that training did not see (or saw too rarely), 1 for a missing one, 2 and up for the vocabulary.
A missing number is NaN. Needs numpy alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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

    @cached_property
    def codes(self) -> list[dict[str, int]]:
        """For each category feature the code of each known value."""
        return [
            {value: code for code, value in enumerate(values, start=FIRST_CATEGORY)}
            for values in self.categories.values()
        ]

    def transform(self, columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Encode columns of equal length.

        Args:
            columns: for each feature its values; None or NaN where missing.

        Returns:
            float32 matrix (rows, features).
        """
        rows = len(columns[self.features[0]])
        matrix = np.empty((rows, len(self.features)), dtype=np.float32)
        for column, name in enumerate(self.numbers):
            matrix[:, column] = np.asarray(columns[name], dtype=np.float64)
        for column, (name, codes) in enumerate(zip(self.categories, self.codes, strict=True), start=len(self.numbers)):
            matrix[:, column] = [
                codes.get(value, UNKNOWN) if isinstance(value, str) else MISSING for value in columns[name]
            ]
        return matrix

    def transform_records(self, records: Sequence[Sequence[Any]]) -> npt.NDArray[np.float32]:
        """Encode records of equal length, which for a few rows is faster than columns.

        Args:
            records: for each row the values in the order of `features`; None where missing.

        Returns:
            float32 matrix (rows, features), the same as `transform` of the columns.
        """
        count = len(self.numbers)
        encoded = [
            [
                *record[:count],
                *(
                    MISSING if value is None else codes.get(value, UNKNOWN)
                    for codes, value in zip(self.codes, record[count:], strict=True)
                ),
            ]
            for record in records
        ]
        return np.array(encoded, dtype=np.float64).reshape(len(records), len(self.features)).astype(np.float32)
