"""Another architecture is a subclass with layers of its own: the example of the documents, for each task."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import Setting
from ontime.model_training.neural_network import NeuralNetwork, NeuralNetworkParameters
from ontime.tasks.binary import Binary
from ontime.tasks.multiclass import Multiclass
from ontime.tasks.regression import Regression
from ontime.tasks.task import Task
from tests.checkouts import TOP
from tests.encoded import Encoded

EXAMPLE = TOP / "docs" / "examples" / "residual.py"
PARAMETERS = NeuralNetworkParameters(hidden_units=[6, 4], learning_rate=0.02, batch_size=64, epochs=3, patience=2)


def residual() -> type[NeuralNetwork]:
    """The example's class, from its file."""
    found = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert found and found.loader
    module: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    kind: type[NeuralNetwork] = module.Residual
    return kind


@pytest.mark.parametrize("task", [Binary(), Multiclass("abc"), Regression()], ids=lambda task: task.name)
def test_the_example_is_fitted_saved_and_exported_with_its_own_layers(
    tmp_path: Path, encoded: Encoded, task: Task
) -> None:
    train, validation = (
        (matrix, (np.arange(len(matrix)) % 3 if task.name == "multiclass" else labels).astype(np.int8))
        for matrix, labels in (encoded.train, encoded.validation)
    )
    kind, setting = residual(), Setting(encoded.encoder, PARAMETERS, 0, task)
    fitted, history = kind.fit(train, validation, setting)
    assert [layer.name for layer in fitted.model.layers if type(layer).__name__ == "Add"]
    fitted.save(tmp_path / "model")
    predicted = fitted.predict(validation[0])
    np.testing.assert_array_equal(kind.load(tmp_path / "model").predict(validation[0]), predicted)
    graph = to_onnx("residual", fitted, len(encoded.encoder.features), task.output, len(task.classes))
    np.testing.assert_allclose(onnx_outputs(graph, validation[0]), predicted, atol=1e-5)
    again = kind.fit_all(train, setting, kind.kept_steps(history))
    assert again.predict(validation[0]).shape == predicted.shape


def test_a_subclass_has_other_layers_than_the_graphs_network(encoded: Encoded) -> None:
    matrix, setting = encoded.validation[0], Setting(encoded.encoder, PARAMETERS, 0, Binary())
    one, other = (kind.fit(encoded.train, encoded.validation, setting)[0] for kind in (NeuralNetwork, residual()))
    assert np.abs(one.predict(matrix) - other.predict(matrix)).max() > 1e-3
