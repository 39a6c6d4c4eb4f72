"""The SavedModel of the graph's own neural network against the ONNX export of the same run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.common import paths
from ontime.common.files import read_json
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_deployment.export.saved_model import MODEL, saved_outputs, write_saved_model
from ontime.model_training.families import load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.tasks.names import PROBABILITY

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not paths.CHAMPION.is_dir(), reason="needs the graph's outputs: make repro"),
]
ROWS = 2_000


@pytest.fixture(scope="module")
def network() -> Any:
    return load_model(MODEL, paths.training_run(MODEL) / "model")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Path:
    """The run as version 1."""
    folder = tmp_path_factory.mktemp("saved") / "1"
    write_saved_model(network, folder, paths.CHAMPION)
    return folder


def validation_rows() -> Any:
    matrix, _ = load_rows("validation", load_encoder())
    return matrix[np.sort(np.random.default_rng(0).permutation(len(matrix))[:ROWS])]


def golden_rows() -> Any:
    records = read_json(paths.CHAMPION / "golden.json")["records"]
    return load_encoder().transform_records([list(record.values()) for record in records])


@pytest.mark.parametrize("rows", [validation_rows, golden_rows])
def test_saved_model_and_onnx_agree_to_a_millionth(saved: Path, network: Any, rows: Any) -> None:
    matrix = rows()
    exported = onnx_outputs(to_onnx(MODEL, network, matrix.shape[1], PROBABILITY), matrix)
    difference = np.abs(saved_outputs(saved, matrix, PROBABILITY) - exported).max()
    print(f"{len(matrix)} rows: greatest difference {difference:.2e}")
    assert difference <= 1e-6
