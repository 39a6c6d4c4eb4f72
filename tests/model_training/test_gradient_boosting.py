"""When boosting stops, and what of the machine the model must not keep."""

import pytest

from ontime.model_training.families import Setting
from ontime.model_training.gradient_boosting import GradientBoosting, GradientBoostingParameters
from ontime.tasks.binary import Binary
from tests.encoded import Encoded

PARAMETERS = GradientBoostingParameters(
    learning_rate=0.3,
    max_iter=30,
    max_leaf_nodes=8,
    min_samples_leaf=20,
    max_features=0.5,
    l2_regularization=1.0,
    n_iter_no_change=3,
)


@pytest.fixture(scope="module")
def fitted(encoded: Encoded) -> tuple[GradientBoosting, list[dict[str, float]]]:
    return GradientBoosting.fit(encoded.train, encoded.validation, Setting(encoded.encoder, PARAMETERS, 0, Binary()))


def test_it_stops_when_the_validation_loss_no_longer_falls(
    fitted: tuple[GradientBoosting, list[dict[str, float]]],
) -> None:
    model, history = fitted[0].model, fitted[1]
    losses = [row["validation_log_loss"] for row in history]
    assert model.n_iter_ < PARAMETERS.max_iter
    assert len(history) == model.n_iter_ + 1
    assert min(losses[-3:]) >= min(losses)


def test_the_model_keeps_no_number_of_threads(fitted: tuple[GradientBoosting, list[dict[str, float]]]) -> None:
    model = fitted[0].model
    assert (model._bin_mapper.n_threads, model.verbose) == (1, 0)
