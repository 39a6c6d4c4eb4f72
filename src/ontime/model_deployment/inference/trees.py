"""`trees.npy`: the nodes of the champion's trees, from which contributions of features are computed.

`export` copies them from the ONNX graph, because ONNX Runtime, all that the service has, does not show a graph's nodes.
They are compared as ONNX's tree ensembles do: a float32 value that is less than or equal to the threshold
goes left, a missing one goes where the node says. https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html
"""

import tokenize
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix, Outputs
from ontime.common.errors import OntimeError
from ontime.tasks.names import TaskName

TREES = "trees.npy"
NODE = np.dtype(
    [
        ("feature", "<i4"),
        ("threshold", "<f4"),
        ("missing_left", "?"),
        ("left", "<i4"),
        ("right", "<i4"),
        ("value", "<f4"),
    ]
)
"""One node; the column `feature` is `LEAF` in a leaf, which alone has a value. Children come after their parent."""
LEAF = -1
Margin = npt.NDArray[np.float64]
"""What contributions add up to, by row: (rows,)."""
Scale = Literal["log-odds", "probability", "prediction"]
SCALES: dict[str, Scale] = {"gradient_boosting": "log-odds", "random_forest": "probability"}
"""What the leaves of a model family add up to for an event; the other families have no trees."""


def scale_of(task: TaskName, family: str) -> Scale | None:
    """What the leaves of a model add up to; None for a family without trees, or where each class has its own sum."""
    if task == "multiclass":
        return None
    return "prediction" if task == "regression" and family in SCALES else SCALES.get(family)


class Trees:
    """Trees whose leaves add up to a margin; a constant is a tree of one leaf.

    Raises:
        OntimeError: the nodes are not trees over `features` columns; says what is wrong.
    """

    def __init__(self, nodes: npt.NDArray[Any], features: int, scale: Scale) -> None:
        check_nodes(nodes, features)
        self.features, self.scale = features, scale
        self.feature, self.threshold, self.missing_left, self.left, self.right, self.value = (
            np.ascontiguousarray(nodes[name]) for name in NODE.names or ()
        )
        self.is_leaf = self.feature == LEAF
        self.parent = np.full(len(nodes), -1, dtype=np.int32)
        (inner,) = np.nonzero(~self.is_leaf)
        self.parent[self.left[inner]] = self.parent[self.right[inner]] = inner
        self.roots = np.flatnonzero(self.parent < 0)

    def margin(self, matrix: Matrix) -> Margin:
        """The sum of the leaves that encoded rows (rows, features) reach: (rows,)."""
        rows = np.arange(len(matrix))[:, None]
        node = np.tile(self.roots, (len(matrix), 1))
        while not (done := self.is_leaf[node]).all():
            value = matrix[rows, self.feature[node]]
            goes_left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
            node = np.where(done, node, np.where(goes_left, self.left[node], self.right[node]))
        return np.asarray(self.value[node].sum(axis=1, dtype=np.float64))

    def predict(self, matrix: Matrix) -> Outputs:
        """What the trees say (rows,) of encoded rows (rows, features)."""
        margin = self.margin(matrix)
        return (1 + np.tanh(margin / 2)) / 2 if self.scale == "log-odds" else margin


def check_nodes(nodes: npt.NDArray[Any], features: int) -> None:
    """Refuse what are not trees over `features` columns.

    Raises:
        OntimeError: says what is wrong.
    """
    if nodes.dtype != NODE or nodes.ndim != 1 or not len(nodes):
        raise OntimeError(f"expected a list of nodes, found {nodes.dtype} of shape {nodes.shape}")
    (inner,) = np.nonzero(nodes["feature"] != LEAF)
    found = nodes[inner]
    children = np.concatenate([found["left"], found["right"]])
    faults = {
        f"expected features from 0 to {features - 1}": (found["feature"] < 0) | (found["feature"] >= features),
        "a child that does not come after its parent": children <= np.tile(inner, 2),
        "a child that does not exist": children >= len(nodes),
        "a threshold that is no number": np.isnan(found["threshold"]),
        "a value that is not finite": ~np.isfinite(nodes["value"]),
    }
    for fault, where in faults.items():
        if where.any():
            raise OntimeError(fault)
    if len(np.unique(children)) != len(children):
        raise OntimeError("a node with two parents")


def read_trees(folder: Path, features: int, scale: Scale) -> Trees:
    """The trees of a champion's folder.

    Raises:
        OntimeError: the file is not what `export` writes.
    """
    path = folder / TREES
    try:
        with path.open("rb") as stream:
            nodes = np.lib.format.read_array(stream, allow_pickle=False)
        return Trees(nodes, features, scale)
    except (ValueError, OSError, EOFError, MemoryError, tokenize.TokenError, OntimeError) as error:
        raise OntimeError(f"{path}: not trees: {' '.join(str(error).split())}") from None
