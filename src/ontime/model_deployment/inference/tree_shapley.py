"""Exact contributions of features to a sum of trees: interventional Shapley values against background rows.

A coalition's value is the mean, over the background, of the model with the coalition's features taken from the row and
the others from the background row. For one leaf and one background row this is a product of conditions, one for each
feature on the leaf's path, whose Shapley values have a closed form (`WEIGHTS`).

Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", algorithm 3;
Janzing, Minorics and Bloebaum 2020, "Feature relevance quantification in explainable AI: a causal problem".
"""

from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.trees import Margin, Trees

MOST_FEATURES = 64
"""Distinct features on one path: each is one bit of a mask."""
MASK_BYTES = 12 * 2**20
"""Of the background rows' masks; a forest with many leaves gets fewer background rows."""
LEAVES_AT_ONCE = 8192
WEIGHTS = np.array(
    [[1 / (a * comb(a + b, a)) if a else 0.0 for b in range(MOST_FEATURES + 1)] for a in range(MOST_FEATURES + 1)]
)
"""(a-1)! b! / (a+b)!, where a features meet their condition only in the row, and b only in the background row."""

Masks = npt.NDArray[np.unsignedinteger]
"""For each leaf of a block, which of its conditions a row meets: (leaves,)."""


class PathTooLongError(Exception):
    """A path has more distinct features than a mask has bits."""


class TreeShapley:
    """The leaves of trees in blocks, and what each background row meets of their conditions.

    Raises:
        PathTooLongError: see `MOST_FEATURES`.
    """

    def __init__(self, trees: Trees, background: Matrix) -> None:
        self.features = trees.features
        self.constant = trees.value[trees.roots[trees.is_leaf[trees.roots]]].sum(dtype=np.float64)
        leaves = np.flatnonzero(trees.is_leaf & (trees.parent >= 0))
        self.blocks = [Leaves(trees, leaves[at : at + LEAVES_AT_ONCE]) for at in range(0, len(leaves), LEAVES_AT_ONCE)]
        row_bytes = sum(block.whole.nbytes for block in self.blocks)
        self.rows = min(len(background), max(1, MASK_BYTES // max(1, row_bytes)))
        chosen = background[np.linspace(0, len(background) - 1, self.rows).astype(np.intp)]
        self.background = [[block.masks(row) for row in chosen] for block in self.blocks]
        margins = [self._margin([masks[row] for masks in self.background]) for row in range(self.rows)]
        self.base_value = float(np.mean(margins))

    def contributions(self, matrix: Matrix) -> tuple[npt.NDArray[np.float64], Margin]:
        """Contributions (rows, features) of encoded rows (rows, features), and their margins (rows,)."""
        found, margins = np.zeros((len(matrix), self.features)), np.empty(len(matrix))
        for number, row in enumerate(matrix):
            masks = [block.masks(row) for block in self.blocks]
            margins[number] = self._margin(masks)
            for block, mine, background in zip(self.blocks, masks, self.background, strict=True):
                for theirs in background:
                    found[number] += block.contributions(mine, theirs)
        return found / self.rows, margins

    def _margin(self, masks: list[Masks]) -> float:
        reached = (block.value[mine == block.whole].sum() for block, mine in zip(self.blocks, masks, strict=True))
        return float(sum(reached) + self.constant)


class Leaves:
    """A block of leaves and, leaf by leaf, the conditions on their paths, those on one feature merged.

    A condition is met by a value in `above < value <= up_to`, and by a missing one where `missing` says so.
    """

    def __init__(self, trees: Trees, leaves: npt.NDArray[np.intp]) -> None:
        self.features, self.value = trees.features, trees.value[leaves].astype(np.float64)
        node: npt.NDArray[np.integer[Any]] = leaves
        leaf, steps = np.arange(len(leaves)), []
        while len(node):
            parent = trees.parent[node]
            left, threshold = trees.left[parent] == node, trees.threshold[parent]
            above, up_to = np.where(left, np.float32(-np.inf), threshold), np.where(left, threshold, np.float32(np.inf))
            steps.append(
                (leaf * trees.features + trees.feature[parent], above, up_to, trees.missing_left[parent] == left)
            )
            inner = trees.parent[parent] >= 0
            node, leaf = parent[inner], leaf[inner]
        key, above, up_to, missing = (np.concatenate(parts) for parts in zip(*steps, strict=True))
        order = np.argsort(key, kind="stable")
        first = np.flatnonzero(np.diff(key[order], prepend=-1))
        leaf, feature = np.divmod(key[order][first], trees.features)
        self.feature = feature.astype(np.min_scalar_type(trees.features))
        self.above = np.maximum.reduceat(above[order], first)
        self.up_to = np.minimum.reduceat(up_to[order], first)
        self.missing = np.logical_and.reduceat(missing[order], first)
        counts = np.bincount(leaf)
        if counts.max() > MOST_FEATURES:
            raise PathTooLongError
        self.bits = np.arange(counts.max(), dtype=np.uint8)
        self.start = np.cumsum(counts) - counts
        self.bit = (np.arange(len(first)) - np.repeat(self.start, counts)).astype(np.uint8)
        self.mask_type = np.min_scalar_type(2 ** len(self.bits) - 1)
        self.whole = self._pack(np.ones(len(first), dtype=np.bool_))

    def masks(self, row: Matrix) -> Masks:
        """Which conditions a row (features,) meets."""
        value = row[self.feature]
        return self._pack(((value > self.above) & (value <= self.up_to)) | (self.missing & np.isnan(value)))

    def _pack(self, met: npt.NDArray[np.bool_]) -> Masks:
        return np.asarray(np.bitwise_or.reduceat(np.left_shift(met, self.bit, dtype=self.mask_type), self.start))

    def contributions(self, mine: Masks, theirs: Masks) -> npt.NDArray[np.float64]:
        """Contributions (features,) of a row against one background row, by what both meet."""
        # a leaf that no mixture of the two rows reaches adds nothing
        (leaf,) = np.nonzero((mine | theirs) == self.whole)
        value, mine, theirs = self.value[leaf], mine[leaf] & ~theirs[leaf], theirs[leaf] & ~mine[leaf]
        a, b = np.bitwise_count(mine), np.bitwise_count(theirs)
        share = self._unpack(mine) * (value * WEIGHTS[a, b])[:, None]
        share -= self._unpack(theirs) * (value * WEIGHTS[b, a])[:, None]
        # beyond a leaf's last condition the share is 0
        feature = self.feature.take(self.start[leaf][:, None] + self.bits, mode="clip")
        return np.bincount(feature.ravel(), share.ravel(), minlength=self.features).astype(np.float64, copy=False)

    def _unpack(self, masks: Masks) -> Masks:
        return np.asarray((masks[:, None] >> self.bits) & self.mask_type.type(1))
