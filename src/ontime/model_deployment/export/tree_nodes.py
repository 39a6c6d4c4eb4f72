"""The trees of an ONNX graph as a table of nodes, for explanations by the service.

In: a graph as `onnx_graph.py` makes it. Out: the content of `trees.npy`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ontime.common.errors import OntimeError
from ontime.model_deployment.export.onnx_graph import INPUT
from ontime.model_deployment.inference.trees import LEAF, NODE

SUMS = {"TreeEnsembleClassifier": "class", "TreeEnsembleRegressor": "target"}
"""How the attributes begin that say what leaves add, by kind of ensemble."""
TRANSFORMS = {
    "class": {b"LOGISTIC": "log-odds", b"NONE": "probability"},
    "target": {b"NONE": "prediction"},
}
"""What the leaves add up to, by what the graph does with their sum."""


def tree_nodes(content: bytes, scale: str) -> npt.NDArray[Any]:
    """Nodes of a graph's tree ensemble, with a last tree of one leaf for its constant.

    An imputer before the trees becomes the way that each node sends a missing value.

    Args:
        scale: what the leaves add up to.

    Raises:
        OntimeError: the graph is not an ensemble of binary trees with one sum, or that is on another scale.
    """
    graph = onnx.load_from_string(content).graph
    (ensemble,) = (_attributes(node) for node in graph.node if node.op_type in SUMS)
    kind = SUMS[next(node.op_type for node in graph.node if node.op_type in SUMS)]
    modes = np.array(ensemble["nodes_modes"])
    leaf, branch = modes == b"LEAF", modes == b"BRANCH_LEQ"
    transform = ensemble.get("post_transform", b"NONE")
    if not (leaf | branch).all() or len(set(ensemble[f"{kind}_ids"])) != 1 or TRANSFORMS[kind].get(transform) != scale:
        raise OntimeError(
            f"export: expected trees of BRANCH_LEQ with one sum, as {scale}; add their kind to {__name__}"
        )
    tree = np.array(ensemble["nodes_treeids"])
    start = np.searchsorted(tree, tree)
    nodes = np.zeros(len(tree) + 1, dtype=NODE)
    made = nodes[:-1]
    made["feature"] = np.where(leaf, LEAF, ensemble["nodes_featureids"])
    made["threshold"] = np.where(leaf, 0, ensemble["nodes_values"])
    made["left"] = np.where(leaf, 0, start + ensemble["nodes_truenodeids"])
    made["right"] = np.where(leaf, 0, start + ensemble["nodes_falsenodeids"])
    made["missing_left"] = branch & (np.array(ensemble["nodes_missing_value_tracks_true"]) != 0)
    leaves = np.searchsorted(tree, ensemble[f"{kind}_treeids"]) + ensemble[f"{kind}_nodeids"]
    made["value"][leaves] = ensemble[f"{kind}_weights"]
    nodes[-1]["feature"], nodes[-1]["value"] = LEAF, sum(ensemble.get("base_values", []))
    for imputer in (_attributes(node) for node in graph.node if node.op_type == "Imputer" and node.input[0] == INPUT):
        seen = np.array(imputer["imputed_value_floats"], dtype=np.float32)[made["feature"]]
        made["missing_left"] = branch & (seen <= made["threshold"])
    return nodes


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
