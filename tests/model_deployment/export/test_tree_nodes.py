"""Nodes are copied from the graph with its constant and its imputer, and another kind of trees is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.export.onnx_graph import onnx_outputs
from ontime.model_deployment.export.tree_nodes import tree_nodes
from ontime.model_deployment.inference.trees import LEAF, SCALES, Trees
from ontime.model_training.random_forest import MISSING_NUMBER
from tests.encoded import Encoded


@pytest.mark.parametrize("family", SCALES)
def test_the_nodes_give_the_probabilities_of_the_graph(
    fitted_folders: list[Path], encoded: Encoded, family: str
) -> None:
    content, matrix = (fitted_folders[0] / f"{family}.onnx").read_bytes(), encoded.validation[0]
    trees = Trees(tree_nodes(content, SCALES[family]), matrix.shape[1], SCALES[family])
    np.testing.assert_allclose(trees.predict(matrix), onnx_outputs(content, matrix), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", SCALES)
def test_another_process_makes_the_same_nodes(fitted_folders: list[Path], family: str) -> None:
    first, second = (tree_nodes((top / f"{family}.onnx").read_bytes(), SCALES[family]) for top in fitted_folders)
    assert first.tobytes() == second.tobytes()


def test_the_constant_is_a_tree_of_one_leaf_and_an_imputer_a_way_to_go(fitted_folders: list[Path]) -> None:
    boosted = tree_nodes((fitted_folders[0] / "gradient_boosting.onnx").read_bytes(), "log-odds")
    assert (boosted[-1]["feature"], boosted[-1]["value"] != 0) == (LEAF, True)
    forest = tree_nodes((fitted_folders[0] / "random_forest.onnx").read_bytes(), "probability")
    inner = forest[forest["feature"] != LEAF]
    assert (inner["missing_left"] == (inner["threshold"] >= MISSING_NUMBER)).all()
    assert (forest[-1]["feature"], forest[-1]["value"]) == (LEAF, 0)


def test_trees_of_another_kind_are_refused(fitted_folders: list[Path]) -> None:
    content = (fitted_folders[0] / "gradient_boosting.onnx").read_bytes()
    with pytest.raises(OntimeError, match=r"^export: expected trees of BRANCH_LEQ with one sum, as probability"):
        tree_nodes(content, "probability")
    graph = onnx.load_from_string(content)
    (modes,) = (
        attribute for node in graph.graph.node for attribute in node.attribute if attribute.name == "nodes_modes"
    )
    modes.strings[0] = b"BRANCH_LT"
    with pytest.raises(OntimeError, match="expected trees of BRANCH_LEQ"):
        tree_nodes(graph.SerializeToString(), "log-odds")
