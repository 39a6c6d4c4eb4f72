"""A boosting of classes and its ONNX graph send a value that float32 rounds a threshold to to the same side."""

import numpy as np

from ontime.encoder import Encoder
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.gradient_boosting import GradientBoosting, GradientBoostingParameters
from ontime.tasks.multiclass import Multiclass

PARAMETERS = GradientBoostingParameters(
    learning_rate=0.3,
    max_iter=5,
    max_leaf_nodes=4,
    min_samples_leaf=5,
    max_features=1.0,
    l2_regularization=0.0,
    n_iter_no_change=5,
)


def test_a_value_beside_a_threshold_goes_the_same_way_in_the_graph() -> None:
    matrix = np.repeat((np.arange(50) / 25).astype(np.float32), 20)[:, None]
    target = (np.arange(len(matrix)) // 40 % 3).astype(np.int8)
    encoder, task = Encoder(("x",), {}), Multiclass("abc")
    model, _ = GradientBoosting.fit((matrix, target), (matrix, target), encoder, PARAMETERS, 0, False, task)
    nodes = np.concatenate([tree.nodes for trees in model.model._predictors for tree in trees])
    thresholds = nodes["num_threshold"][nodes["is_leaf"] == 0]
    rounded = thresholds.astype(np.float32)
    asked = np.unique(rounded[rounded > thresholds])[:, None]
    assert len(asked) > 3
    found = onnx_outputs(to_onnx("gradient_boosting", model, 1, "probability", 3), asked)
    np.testing.assert_allclose(found, model.predict(asked), rtol=0, atol=1e-6)
