"""Boosting and its ONNX graph send a value that float32 rounds a threshold to to the same side."""

import numpy as np
import pytest

from ontime.encoder import Encoder
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import Setting
from ontime.model_training.gradient_boosting import GradientBoosting, GradientBoostingParameters
from ontime.tasks.binary import Binary
from ontime.tasks.multiclass import Multiclass
from ontime.tasks.regression import Regression
from ontime.tasks.task import Task

PARAMETERS = GradientBoostingParameters(
    learning_rate=0.3,
    max_iter=5,
    max_leaf_nodes=16,
    min_samples_leaf=5,
    max_features=1.0,
    l2_regularization=0.0,
    n_iter_no_change=5,
)
VALUES = (np.arange(50) / 25).astype(np.float32)


@pytest.mark.parametrize("task", [Binary(), Multiclass("abc"), Regression()], ids=lambda task: task.name)
def test_a_value_beside_a_threshold_goes_the_same_way_in_the_graph(task: Task) -> None:
    matrix, place = np.repeat(VALUES, 20)[:, None], np.repeat(np.arange(len(VALUES)), 20)
    target = {"binary": place // 2 % 2, "multiclass": place // 2 % 3, "regression": 10.0 * (place // 2 % 5)}[task.name]
    rows = (matrix, target.astype(np.float64 if task.name == "regression" else np.int8))
    model, _ = GradientBoosting.fit(rows, rows, Setting(Encoder(("x",), {}), PARAMETERS, 0, task))
    # the fitted thresholds are the middles
    middles = (VALUES[:-1].astype(np.float64) + VALUES[1:]) / 2
    nearest = middles.astype(np.float32)
    asked = nearest[nearest > middles][:, None]
    assert len(asked) > 3
    graph = to_onnx("gradient_boosting", model, 1, task.output, 3 if task.name == "multiclass" else 0)
    np.testing.assert_allclose(onnx_outputs(graph, asked), model.predict(asked), rtol=1e-6, atol=1e-6)
