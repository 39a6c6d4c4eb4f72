"""Contributions of trees are the Shapley values by their definition, and add up to the margin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ontime.model_deployment.export.tree_nodes import tree_nodes
from ontime.model_deployment.inference import tree_shapley
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.tree_shapley import PathTooLongError, TreeShapley
from ontime.model_deployment.inference.trees import LEAF, NODE, SCALES, Trees
from tests.encoded import Encoded
from tests.shapley import by_enumeration

FEATURES = 7


def random_trees(random: np.random.Generator, features: int = FEATURES, most: int = 6) -> Trees:
    """Trees of up to `most` levels on few thresholds, so that paths ask for a feature again, some of them in vain."""
    nodes: list[tuple[int, float, bool, int, int, float]] = []

    def grow(depth: int) -> int:
        at = len(nodes)
        nodes.append((LEAF, 0.0, False, 0, 0, float(random.normal())))
        if random.random() < 1 - depth / most:
            left = grow(depth + 1)
            nodes[at] = (
                int(random.integers(features)),
                float(random.integers(4)),
                bool(random.random() < 0.5),
                left,
                grow(depth + 1),
                0.0,
            )
        return at

    for _ in range(4):
        grow(0)
    return Trees(np.array(nodes, dtype=NODE), features, "log-odds")


def random_rows(random: np.random.Generator, count: int, features: int = FEATURES) -> npt.NDArray[np.float32]:
    """Rows on, between and beyond the thresholds, a fifth missing."""
    rows = random.integers(-1, 9, (count, features)).astype(np.float32) / 2
    rows[random.random(rows.shape) < 0.2] = np.nan
    return np.asarray(rows, dtype=np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_contributions_of_random_trees_are_those_by_enumeration(seed: int) -> None:
    random = np.random.default_rng(seed)
    trees, background, rows = random_trees(random), random_rows(random, 10), random_rows(random, 10)
    explained = TreeShapley(trees, background)
    contributions, margin = explained.contributions(rows)
    expected = [by_enumeration(trees.margin, row, background) for row in rows]
    np.testing.assert_allclose(contributions, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(margin, trees.margin(rows), rtol=0, atol=1e-12)
    assert explained.base_value == pytest.approx(trees.margin(background).mean(), abs=1e-12)


@pytest.mark.parametrize("family", SCALES)
def test_contributions_of_a_fitted_model_are_those_by_enumeration(exported: Callable[[str], Path], family: str) -> None:
    champion = load_champion(exported(family))
    trees, background = champion.trees, champion.background
    assert trees is not None
    records: list[tuple[Any, ...]] = [
        (weight, fragile, depot, service)
        for weight in (None, 0.3, 4.7)
        for fragile in (None, 1)
        for depot in (None, "north", "the moon")
        for service in ("day", "night")
    ]
    rows = champion.encoder.transform_records(records)
    contributions, _ = TreeShapley(trees, background).contributions(rows)
    expected = np.array([by_enumeration(trees.margin, row, background) for row in rows])
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(contributions, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("at_once", [3, 8192])
@pytest.mark.parametrize("family", SCALES)
def test_base_value_and_contributions_add_up_to_the_margin(
    fitted_folders: list[Path], encoded: Encoded, family: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_shapley, "LEAVES_AT_ONCE", at_once)
    matrix = encoded.validation[0]
    nodes = tree_nodes((fitted_folders[0] / f"{family}.onnx").read_bytes(), SCALES[family])
    trees = Trees(nodes, matrix.shape[1], SCALES[family])
    rows = matrix[:500] if at_once > 3 else matrix[:5]
    explained = TreeShapley(trees, matrix[-16:])
    contributions, margin = explained.contributions(rows)
    np.testing.assert_allclose(contributions.sum(axis=1) + explained.base_value, margin, rtol=0, atol=1e-12)
    np.testing.assert_allclose(margin, trees.margin(rows), rtol=0, atol=1e-12)


def test_a_row_of_the_background_alone_contributes_nothing() -> None:
    random = np.random.default_rng(0)
    trees, row = random_trees(random), random_rows(random, 1)
    contributions, _ = TreeShapley(trees, row).contributions(row)
    assert not contributions.any()


def test_trees_without_a_split_are_their_constant() -> None:
    trees = Trees(np.array([(LEAF, 0, False, 0, 0, 0.25), (LEAF, 0, False, 0, 0, 0.5)], dtype=NODE), 2, "log-odds")
    explained = TreeShapley(trees, np.zeros((3, 2), dtype=np.float32))
    contributions, margin = explained.contributions(np.ones((2, 2), dtype=np.float32))
    assert (explained.base_value, margin.tolist(), contributions.tolist()) == (0.75, [0.75, 0.75], [[0, 0], [0, 0]])


def chain(features: int) -> Trees:
    """One path that asks for each feature once."""
    nodes = []
    for feature in range(features):
        nodes += [(feature, 0.0, False, 2 * feature + 1, 2 * feature + 2, 0.0), (LEAF, 0, False, 0, 0, feature + 1.0)]
    return Trees(np.array([*nodes, (LEAF, 0, False, 0, 0, -1.0)], dtype=NODE), features, "log-odds")


def test_a_path_of_sixty_four_features_is_explained_and_a_longer_one_is_not() -> None:
    trees = chain(64)
    background, rows = np.zeros((1, 64), dtype=np.float32), np.ones((1, 64), dtype=np.float32)
    contributions, margin = TreeShapley(trees, background).contributions(rows)
    assert margin.tolist() == [-1.0]
    assert contributions.sum() == pytest.approx(-1.0 - 1.0, abs=1e-12)
    with pytest.raises(PathTooLongError):
        TreeShapley(chain(65), np.zeros((1, 65), dtype=np.float32))


def test_many_leaves_have_fewer_background_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    trees, background = random_trees(random), random_rows(random, 10)
    whole = TreeShapley(trees, background)
    assert whole.rows == 10
    monkeypatch.setattr(tree_shapley, "MASK_BYTES", 4 * len(whole.blocks[0].whole))
    few = TreeShapley(trees, background)
    assert few.rows == 4
    assert few.base_value == pytest.approx(trees.margin(background[[0, 3, 6, 9]]).mean(), abs=1e-12)
