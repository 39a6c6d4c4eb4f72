"""Trees give the trained model's margin, and a file that holds no trees is refused in one line."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import sha256
from ontime.model_deployment.export.tree_nodes import tree_nodes
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.inference.trees import NODE, SCALES, TREES, Trees, read_trees
from ontime.model_training.families import load_model
from tests.encoded import Encoded

STUMP: list[tuple[int, float, bool, int, int, float]] = [
    (1, 0.5, True, 1, 2, 0.0),
    (-1, 0.0, False, 0, 0, -1.0),
    (-1, 0.0, False, 0, 0, 2.0),
]


def nodes_of(rows: list[tuple[int, float, bool, int, int, float]]) -> npt.NDArray[Any]:
    """Nodes in the order of `NODE`'s fields."""
    return np.array(rows, dtype=NODE)


def test_boosted_trees_add_up_to_the_decision_function(fitted_folders: list[Path], encoded: Encoded) -> None:
    matrix = encoded.validation[0]
    assert np.isnan(matrix).any()
    nodes = tree_nodes((fitted_folders[0] / "gradient_boosting.onnx").read_bytes(), "log-odds")
    trees = Trees(nodes, matrix.shape[1], "log-odds")
    model = load_model("gradient_boosting", fitted_folders[0] / "gradient_boosting").model
    assert np.abs(trees.margin(matrix) - model.decision_function(matrix)).max() <= 1e-6


@pytest.mark.parametrize("family", SCALES)
def test_trees_give_the_probabilities_of_the_model(fitted_folders: list[Path], encoded: Encoded, family: str) -> None:
    matrix = encoded.validation[0]
    nodes = tree_nodes((fitted_folders[0] / f"{family}.onnx").read_bytes(), SCALES[family])
    trees = Trees(nodes, matrix.shape[1], SCALES[family])
    expected = load_model(family, fitted_folders[0] / family).predict(matrix)
    assert np.abs(trees.predict(matrix) - expected).max() <= 1e-6


def test_a_value_on_the_threshold_goes_left_and_a_missing_one_where_the_node_says() -> None:
    matrix = np.array([[9, 0.5], [9, np.nextafter(np.float32(0.5), 1)], [9, np.nan]], dtype=np.float32)
    assert Trees(nodes_of(STUMP), 2, "log-odds").margin(matrix).tolist() == [-1, 2, -1]
    right = [(1, 0.5, False, 1, 2, 0.0), *STUMP[1:]]
    assert Trees(nodes_of(right), 2, "log-odds").margin(matrix).tolist() == [-1, 2, 2]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (np.zeros(3), "expected a list of nodes, found float64 of shape (3,)"),
        (nodes_of([]), "expected a list of nodes"),
        (nodes_of(STUMP).reshape(1, 3), "expected a list of nodes"),
        (nodes_of([(2, 0.5, True, 1, 2, 0), *STUMP[1:]]), "expected features from 0 to 1"),
        (nodes_of([(-2, 0.5, True, 1, 2, 0), *STUMP[1:]]), "expected features from 0 to 1"),
        (nodes_of([(1, 0.5, True, 1, 3, 0), *STUMP[1:]]), "a child that does not exist"),
        (nodes_of([(1, 0.5, True, 0, 2, 0), *STUMP[1:]]), "a child that does not come after its parent"),
        (nodes_of([(1, 0.5, True, -1, 2, 0), *STUMP[1:]]), "a child that does not come after its parent"),
        (nodes_of([(1, 0.5, True, 1, 1, 0), *STUMP[1:]]), "a node with two parents"),
        (nodes_of([(1, float("nan"), True, 1, 2, 0), *STUMP[1:]]), "a threshold that is no number"),
        (nodes_of([*STUMP[:2], (-1, 0, False, 0, 0, float("inf"))]), "a value that is not finite"),
    ],
)
def test_what_are_no_trees_is_refused(tmp_path: Path, nodes: npt.NDArray[Any], reason: str) -> None:
    np.save(tmp_path / TREES, nodes)
    with pytest.raises(OntimeError) as refused:
        read_trees(tmp_path, 2, "log-odds")
    assert str(refused.value).startswith(f"{tmp_path / TREES}: not trees: {reason}")


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00", b"\x80\x04K\x01.", b"PK\x03\x04"])
def test_what_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TREES).write_bytes(content)
    with pytest.raises(OntimeError, match=r"trees\.npy: not trees: "):
        read_trees(tmp_path, 2, "log-odds")


def test_an_archive_and_objects_are_refused(tmp_path: Path) -> None:
    for save in (np.savez, lambda stream, value: np.save(stream, np.array([value, None], dtype=object))):
        stream = io.BytesIO()
        save(stream, nodes_of(STUMP))
        (tmp_path / TREES).write_bytes(stream.getvalue())
        with pytest.raises(OntimeError, match=r"trees\.npy: not trees: "):
            read_trees(tmp_path, 2, "log-odds")


def test_a_damaged_file_is_read_as_trees_or_refused(exported: Callable[[str], Path], tmp_path: Path) -> None:
    content, moments = (exported("gradient_boosting") / TREES).read_bytes(), random.Random(1)
    matrix, refused = np.full((1, 4), np.nan, dtype=np.float32), 0
    for _ in range(2000):
        changed = bytearray(content)
        # the header is a twentieth of the file, and deserves half of the damage
        place = moments.randrange(moments.choice([160, len(content)]))
        if moments.random() < 0.8:
            changed[place] = moments.randrange(256)
        else:
            del changed[place : place + moments.randint(1, 30)]
        (tmp_path / TREES).write_bytes(changed)
        try:
            read_trees(tmp_path, 4, "log-odds").margin(matrix)
        except OntimeError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 500


def test_a_champion_whose_trees_are_not_those_of_its_graph_is_not_loaded(
    exported: Callable[[str], Path], folder: Path, change_json: Callable[..., None]
) -> None:
    source = exported("gradient_boosting")
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert load_champion(folder).trees is not None
    nodes = np.load(folder / TREES)
    nodes["value"][-1] += 0.01
    np.save(folder / TREES, nodes)
    digest = sha256(folder / TREES)

    def change(content: Any) -> Any:
        content["files"][TREES]["sha256"] = digest
        return content

    change_json("manifest.json", change)
    with pytest.raises(OntimeError, match=r"golden records by trees\.npy differ by up to .*, above 1e-05"):
        load_champion(folder)


def test_an_older_champion_of_trees_without_their_file_is_loaded(
    exported: Callable[[str], Path], folder: Path, change_json: Callable[..., None]
) -> None:
    for path in exported("random_forest").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / TREES).unlink()

    def change(content: Any) -> Any:
        del content["files"][TREES]
        return content

    change_json("manifest.json", change)
    assert read_manifest(folder).model == "random_forest"
    assert load_champion(folder).trees is None
