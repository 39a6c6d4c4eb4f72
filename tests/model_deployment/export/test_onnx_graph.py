"""Every family as ONNX: the same probabilities as the model, and the same bytes from another process."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from ontime.common.files import sha256
from ontime.model_deployment.export.onnx_graph import INPUT, onnx_outputs
from ontime.model_training.families import FAMILIES, load_model
from ontime.tasks.names import PROBABILITY

if TYPE_CHECKING:
    from tests.encoded import Encoded


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_probabilities_are_those_of_the_model(fitted_folders: list[Path], encoded: "Encoded", name: str) -> None:
    matrix = encoded.validation[0]
    assert np.isnan(matrix).any()
    assert {0.0, 1.0} <= set(matrix[:, -1])
    content = (fitted_folders[0] / f"{name}.onnx").read_bytes()
    expected = load_model(name, fitted_folders[0] / name).predict(matrix)
    found = onnx_outputs(content, matrix)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_row_alone_and_a_row_of_missing_values_are_answered(
    fitted_folders: list[Path], encoded: "Encoded", name: str
) -> None:
    row = encoded.validation[0][:1].copy()
    row[0, :9], row[0, 9:] = np.nan, 1
    content = (fitted_folders[0] / f"{name}.onnx").read_bytes()
    expected = load_model(name, fitted_folders[0] / name).predict(row)
    np.testing.assert_allclose(onnx_outputs(content, row), expected, atol=1e-6)
    assert onnx_outputs(content, row[:0]).shape == (0,)


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_another_process_writes_the_same_bytes(fitted_folders: list[Path], name: str) -> None:
    first, second = (folder / f"{name}.onnx" for folder in fitted_folders)
    assert sha256(first) == sha256(second)


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_the_graph_has_one_input_one_output_and_no_names_of_its_making(
    fitted_folders: list[Path], encoded: "Encoded", name: str
) -> None:
    model = onnx.load(fitted_folders[0] / f"{name}.onnx")
    (taken,), (given,) = model.graph.input, model.graph.output
    assert (taken.name, given.name, model.graph.name) == (INPUT, PROBABILITY, name)
    rows, columns = taken.type.tensor_type.shape.dim
    assert (rows.dim_param, columns.dim_value) == ("rows", len(encoded.encoder.features))
    assert [dim.dim_param for dim in given.type.tensor_type.shape.dim] == ["rows"]
    assert (model.producer_name, model.producer_version, model.doc_string) == ("ontime", "", "")
    made = [tensor for node in model.graph.node for tensor in node.output] + [c.name for c in model.graph.initializer]
    assert all(tensor == PROBABILITY or tensor.startswith("tensor_") for tensor in made)
    assert len(set(made)) == len(made)
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx.ml"}
