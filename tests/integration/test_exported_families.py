"""Every family's ONNX graph against the trained model, on the whole test set that the graph made."""

import numpy as np
import pytest

from ontime.common import paths
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import FAMILIES, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.tasks.names import PROBABILITY

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not paths.CHAMPION.is_dir(), reason="needs the graph's outputs: make repro"),
]


@pytest.mark.parametrize("family", FAMILIES["binary"])
def test_onnx_and_trained_model_agree_to_a_millionth(family: str) -> None:
    encoder = load_encoder()
    matrix, _ = load_rows("test", encoder)
    model = load_model(family, paths.training_run(family) / "model")
    exported = onnx_outputs(to_onnx(family, model, len(encoder.features), PROBABILITY), matrix)
    assert np.abs(exported - model.predict(matrix)).max() <= 1e-6
