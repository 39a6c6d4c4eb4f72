"""How often each value comes: counts of rows by bin for every feature and for the probability, which can be added up.

A number's bins lie between quantiles of the rows that the model was trained on, a category's are its known values and
one for all others; each column has one more bin for missing values. All bins of all columns are one vector, so the
counts of several days are a matrix, and their sum is the count of those days together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = 50
"""Bins of a number, fewer where values repeat."""
SMOOTHING = 0.5
"""Rows added to each bin, so that an empty one has a share: Jeffreys' prior."""

Counts = npt.NDArray[np.int64]


def quantile_edges(values: npt.NDArray[Any]) -> list[float]:
    """Upper edges of the bins of a number, without the last: values that occur, so that no processor rounds them."""
    present = np.sort(np.asarray(values, dtype=np.float32)[~np.isnan(np.asarray(values, dtype=np.float32))])
    if not len(present):
        return []
    # the inverse of the empirical distribution function: type 1 of Hyndman and Fan 1996
    places = -(-np.arange(1, QUANTILES) * len(present) // QUANTILES) - 1
    return [float(value) for value in np.unique(present[places])]


@dataclass(frozen=True)
class Bins:
    """Bins of the features in the model's order, numbers first, and of the probability."""

    numbers: dict[str, list[float]]
    """Upper edges by feature, without the last bin's."""
    categories: dict[str, list[str]]
    """Known values by feature."""
    probability: list[float]

    @property
    def features(self) -> list[str]:
        """Names in the order of the columns; the probability comes after them."""
        return [*self.numbers, *self.categories]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of bins of each column: (columns,)."""
        edges = [*self.numbers.values()], [*self.categories.values()], [self.probability]
        return np.array([len(one) + 2 for group in edges for one in group], dtype=np.int64)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first bin of each column: (columns,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    @property
    def total(self) -> int:
        """Number of bins of all columns."""
        return int(self.sizes.sum())

    def count(self, columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]], probability: npt.NDArray[Any]) -> Counts:
        """Count rows.

        Args:
            columns: for each feature its values (rows,), missing as None or NaN.
            probability: of each row, NaN where another model answered: (rows,).

        Returns:
            Rows by bin: (bins,).
        """
        counts: Counts = self.count_by_group(columns, probability, np.zeros(len(probability), dtype=np.int64), 1)[0]
        return counts

    def count_by_group(
        self,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]],
        probability: npt.NDArray[Any],
        group: npt.NDArray[np.int64],
        groups: int,
    ) -> Counts:
        """Count rows by group, such as their day.

        Args:
            group: of each row, from 0 on: (rows,).
            groups: their number.

        Returns:
            Rows by group and bin: (groups, bins).
        """
        counted = np.zeros((groups, self.total), dtype=np.int64)
        codes = [self._number_codes(columns[name], edges) for name, edges in self.numbers.items()]
        codes += [_category_codes(columns[name], values) for name, values in self.categories.items()]
        codes.append(self._number_codes(probability, self.probability))
        for start, size, code in zip(self.starts, self.sizes, codes, strict=True):
            found = np.bincount(group * size + code, minlength=groups * size)
            counted[:, start : start + size] = found.reshape(groups, size)
        return counted

    @staticmethod
    def _number_codes(values: Sequence[Any] | npt.NDArray[Any], edges: list[float]) -> npt.NDArray[np.int64]:
        wide = np.asarray(values, dtype=np.float32)
        codes = np.searchsorted(np.array(edges, dtype=np.float32), wide)
        codes[np.isnan(wide)] = len(edges) + 1
        return codes

    def shift(self, rows: Counts, usual: Counts) -> npt.NDArray[np.float64]:
        """Population stability index of each column between two counts (bins,); 0 where either has no row.

        Returns:
            (columns,), the probability last. The sum over bins of the difference of shares times the logarithm of their
            ratio: Kullback and Leibler 1951, the symmetric divergence J.
        """
        found, expected = self._shares(rows), self._shares(usual)
        index = np.add.reduceat((found - expected) * np.log(found / expected), self.starts)
        empty = (np.add.reduceat(rows, self.starts) == 0) | (np.add.reduceat(usual, self.starts) == 0)
        return np.asarray(np.where(empty, 0.0, index))

    def _shares(self, counts: Counts) -> npt.NDArray[np.float64]:
        total = np.add.reduceat(counts, self.starts) + SMOOTHING * self.sizes
        return np.asarray((counts + SMOOTHING) / np.repeat(total, self.sizes))


def _category_codes(values: Sequence[Any] | npt.NDArray[Any], known: list[str]) -> npt.NDArray[np.int64]:
    code = {value: place for place, value in enumerate(known)}
    return np.array(
        [code.get(value, len(known)) if isinstance(value, str) else len(known) + 1 for value in values], dtype=np.int64
    )
