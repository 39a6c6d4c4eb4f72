"""The forest's history, and what of the machine it must not keep."""

import numpy as np
import pytest

from ontime.model_training.families import Setting
from ontime.model_training.random_forest import RandomForest, RandomForestParameters
from ontime.tasks.binary import Binary
from tests.encoded import Encoded

PARAMETERS = RandomForestParameters(n_estimators=12, max_features=0.5, min_samples_leaf=20)


@pytest.fixture(scope="module")
def fitted(encoded: Encoded) -> tuple[RandomForest, list[dict[str, float]]]:
    return RandomForest.fit(encoded.train, encoded.validation, Setting(encoded.encoder, PARAMETERS, 0, Binary()))


def test_the_loss_is_told_every_few_trees(
    fitted: tuple[RandomForest, list[dict[str, float]]], encoded: Encoded
) -> None:
    forest, history = fitted
    assert [row["step"] for row in history] == [10, 12]
    assert len(forest.model["classifier"].estimators_) == 12
    matrix, labels = encoded.validation
    probability = forest.predict(matrix)
    loss = -np.mean(np.log(np.where(labels == 1, probability, 1 - probability)))
    assert history[-1]["validation_log_loss"] == pytest.approx(loss)


def test_the_model_keeps_no_number_of_threads(fitted: tuple[RandomForest, list[dict[str, float]]]) -> None:
    classifier = fitted[0].model["classifier"]
    assert (classifier.n_jobs, classifier.warm_start) == (1, False)
