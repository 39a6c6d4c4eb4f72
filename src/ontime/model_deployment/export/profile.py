"""How often each value comes: counts of rows by bin for every feature and for the probability, which can be added up.

A number's bins lie between quantiles of the rows that a model was made from, with one more for missing values; a
category's are the encoder's codes; of a text it is counted how many of its words are known. All bins of all
columns are one vector, so the counts of several days are a matrix, and their sum is the count of those days together.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix
from ontime.encoder import MISSING, UNKNOWN

QUANTILES = 50
"""Bins of a number, fewer where values repeat."""
SMOOTHING = 0.5
"""Rows added to each bin, so that an empty one has a share: Jeffreys' prior."""

Counts = npt.NDArray[np.int64]


def quantile_edges(values: npt.NDArray[Any]) -> list[float]:
    """Upper edges of the bins of a number, without the last: values that occur, so that no processor rounds them."""
    present = np.sort(values[~np.isnan(values)].astype(np.float32))
    if not len(present):
        return []
    # the inverse of the empirical distribution function: type 1 of Hyndman and Fan 1996
    places = -(-np.arange(1, QUANTILES) * len(present) // QUANTILES) - 1
    return [float(value) for value in np.unique(present[places])]


@dataclass(frozen=True)
class Bins:
    """Bins of the features, in the order of the model's matrix, and of the probability, which comes last."""

    numbers: dict[str, list[float]]
    """Upper edges by feature, without the last bin's."""
    categories: dict[str, int]
    """Number of codes by feature; the encoder has codes of its own for unknown and missing values."""
    probability: list[float]
    texts: dict[str, list[float]] = field(default_factory=dict)
    """Upper edges by feature of the number of known words."""

    @property
    def features(self) -> list[str]:
        """Names of the columns; the probability has none, because a feature may be called like that."""
        return [*self.numbers, *self.categories, *self.texts]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of bins of each column: (columns,)."""
        numbers, texts = ([len(edges) + 2 for edges in of.values()] for of in (self.numbers, self.texts))
        return np.array([*numbers, *self.categories.values(), *texts, len(self.probability) + 1], dtype=np.int64)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first bin of each column: (columns,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    @property
    def total(self) -> int:
        """Number of bins of all columns."""
        return int(self.sizes.sum())

    @cached_property
    def gaps(self) -> npt.NDArray[np.int64]:
        """Bins of what is not there: missing values of each feature, then unknown ones of each category."""
        coded = slice(len(self.numbers), len(self.numbers) + len(self.categories))
        missing = self.starts[:-1] + self.sizes[:-1] - 1
        missing[coded] = self.starts[coded] + MISSING
        return np.concatenate([missing, self.starts[coded] + UNKNOWN])

    def count(self, matrix: Matrix, probability: npt.NDArray[Any], group: npt.NDArray[np.int64], groups: int) -> Counts:
        """Count rows by group, such as their day.

        Args:
            matrix: encoded rows (rows, columns).
            probability: of each row, NaN where another model answered, which is not counted: (rows,).
            group: of each row, from 0 on: (rows,).
            groups: their number.

        Returns:
            Rows by group and bin: (groups, bins).
        """
        counted = np.zeros((groups, self.total), dtype=np.int64)
        codes = [_codes(matrix[:, column], edges) for column, edges in enumerate(self.numbers.values())]
        of_texts = len(self.numbers) + len(self.categories)
        codes += [matrix[:, column].astype(np.int64) for column in range(len(self.numbers), of_texts)]
        codes += [_codes(matrix[:, column], edges) for column, edges in enumerate(self.texts.values(), of_texts)]
        members = [group] * len(codes)
        answered = ~np.isnan(probability)
        codes.append(_codes(probability[answered], self.probability))
        members.append(group[answered])
        for start, size, code, member in zip(self.starts, self.sizes, codes, members, strict=True):
            found = np.bincount(member * size + code, minlength=groups * size)
            counted[:, start : start + size] = found.reshape(groups, size)
        return counted

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

    def gap_shares(self, rows: Counts) -> npt.NDArray[np.float64]:
        """Shares of a count's rows (bins,) that are in `gaps`: (features + categories,)."""
        return np.asarray(rows[self.gaps] / max(1, int(rows[: self.sizes[0]].sum())))

    def _shares(self, counts: Counts) -> npt.NDArray[np.float64]:
        total = np.add.reduceat(counts, self.starts) + SMOOTHING * self.sizes
        return np.asarray((counts + SMOOTHING) / np.repeat(total, self.sizes))


def _codes(values: npt.NDArray[Any], edges: list[float]) -> npt.NDArray[np.int64]:
    values = values.astype(np.float32)
    codes = np.searchsorted(np.array(edges, dtype=np.float32), values)
    codes[np.isnan(values)] = len(edges) + 1
    return codes
