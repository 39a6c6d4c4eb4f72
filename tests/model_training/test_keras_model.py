"""The network: the best epoch's weights, how it is saved, and inputs that it must bear."""

from pathlib import Path

import numpy as np
import pytest

from ontime.encoder import Encoder
from ontime.model_training.neural_network import NeuralNetworkParameters
from ontime.tasks.binary import Binary
from tests.encoded import Encoded

SETTINGS = NeuralNetworkParameters(hidden_units=[6, 4], learning_rate=0.2, batch_size=64, epochs=6, patience=2)


def test_the_weights_are_those_of_the_least_validation_loss(encoded: Encoded) -> None:
    from ontime.model_training.keras_model import fit_network, network_outputs

    model, history = fit_network(encoded.train, encoded.validation, encoded.encoder, SETTINGS, 0, False, Binary())
    matrix, labels = encoded.validation
    probability = network_outputs(model, matrix)
    loss = -np.mean(np.log(np.where(labels == 1, probability, 1 - probability)))
    losses = [row["validation_log_loss"] for row in history]
    assert probability.dtype == np.float64
    assert probability.shape == labels.shape
    assert [row["step"] for row in history] == list(range(1, len(history) + 1))
    assert losses.index(min(losses)) < len(losses) - 1, "choose a rate at which the last epoch is not the best"
    assert loss == pytest.approx(min(losses), abs=1e-5)


def test_a_saved_network_predicts_as_before(tmp_path: Path, encoded: Encoded) -> None:
    from ontime.model_training.keras_model import Sigmoid, build_network, load_network, network_outputs, save_network

    model = build_network(encoded.train[0], encoded.encoder, SETTINGS, Sigmoid(np.zeros(1)))
    save_network(model, tmp_path)
    matrix = encoded.validation[0]
    np.testing.assert_array_equal(network_outputs(load_network(tmp_path), matrix), network_outputs(model, matrix))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.weights.h5", "model_architecture.json"]


def test_missing_constant_and_huge_numbers_give_probabilities(encoded: Encoded) -> None:
    from ontime.model_training.keras_model import Sigmoid, build_network, network_outputs

    matrix = encoded.train[0].copy()
    matrix[:, 0] = 7
    model = build_network(matrix, encoded.encoder, SETTINGS, Sigmoid(np.zeros(1)))
    strange = matrix[:4].copy()
    strange[0, :9], strange[1, :9], strange[2, :9] = np.nan, 3e38, -3e38
    probability = network_outputs(model, strange)
    assert np.isfinite(probability).all()
    assert ((probability > 0) & (probability < 1)).all()


def test_a_missing_number_counts_as_the_mean(encoded: Encoded) -> None:
    from ontime.model_training.keras_model import Sigmoid, build_network, network_outputs

    matrix = encoded.train[0]
    model = build_network(matrix, encoded.encoder, SETTINGS, Sigmoid(np.zeros(1)))
    missing, mean = matrix[:1].copy(), matrix[:1].copy()
    missing[0, 0], mean[0, 0] = np.nan, np.nanmean(matrix[:, 0].astype(np.float64))
    np.testing.assert_allclose(network_outputs(model, missing), network_outputs(model, mean), atol=1e-6)


@pytest.mark.parametrize(
    "encoder", [Encoder(("a", "b"), {}), Encoder((), {"a": ("x",), "b": ()})], ids=["numbers", "categories"]
)
def test_numbers_alone_and_categories_alone_are_enough(encoder: Encoder) -> None:
    from ontime.model_training.keras_model import Sigmoid, build_network, network_outputs

    matrix = np.array([[0, 1], [2, 0]], dtype=np.float32)
    assert np.isfinite(network_outputs(build_network(matrix, encoder, SETTINGS, Sigmoid(np.zeros(1))), matrix)).all()
