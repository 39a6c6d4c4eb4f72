"""The scikit-learn families: the same bytes on any number of threads, and what each does with missing values."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest

from ontime.common.files import sha256
from ontime.common.params import GradientBoosting, LogisticRegression, RandomForest
from ontime.encoder import Encoder
from ontime.model_training import estimators

if TYPE_CHECKING:
    from tests.conftest import Encoded

SETTINGS: dict[str, Any] = {
    "logistic_regression": LogisticRegression(C=0.1, max_iter=50),
    "random_forest": RandomForest(n_estimators=12, max_features=0.5, min_samples_leaf=20),
    "gradient_boosting": GradientBoosting(
        learning_rate=0.3,
        max_iter=30,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        max_features=0.5,
        l2_regularization=1.0,
        n_iter_no_change=3,
    ),
}


def fit(name: str, encoded: "Encoded", seed: int = 0) -> tuple[Any, list[dict[str, float]]]:
    function = getattr(estimators, f"fit_{name}")
    fitted, history = function(encoded.train, encoded.validation, encoded.encoder, SETTINGS[name], seed, False)
    return fitted, history


@pytest.mark.parametrize("name", SETTINGS)
def test_the_number_of_threads_changes_no_byte_of_a_saved_model(fitted_folders: list[Path], name: str) -> None:
    one, four = (folder / name / "model.joblib" for folder in fitted_folders)
    assert sha256(one) == sha256(four)
    one, four = (folder / f"{name}.csv" for folder in fitted_folders)
    assert one.read_bytes() == four.read_bytes()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_saved_model_says_nothing_of_the_machine(fitted_folders: list[Path], name: str) -> None:
    model = joblib.load(fitted_folders[1] / name / "model.joblib")
    if name == "random_forest":
        assert (model["classifier"].n_jobs, model["classifier"].warm_start) == (1, False)
    if name == "gradient_boosting":
        assert (model._bin_mapper.n_threads, model.verbose) == (1, 0)
    assert str(fitted_folders[1]).encode() not in (fitted_folders[1] / name / "model.joblib").read_bytes()


@pytest.mark.parametrize("name", SETTINGS)
def test_probabilities_follow_the_target(encoded: "Encoded", name: str) -> None:
    model, history = fit(name, encoded)
    matrix, labels = encoded.validation
    probability = estimators.probability_of(model, matrix)
    assert probability.dtype == np.float64
    assert probability.shape == labels.shape
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability[labels == 1].mean() > probability[labels == 0].mean() + 0.05
    assert history[-1]["validation_log_loss"] < 0.69


@pytest.mark.parametrize("name", SETTINGS)
def test_the_seed_decides_where_something_is_drawn(encoded: "Encoded", name: str) -> None:
    matrix = encoded.validation[0]
    first, again, other = (estimators.probability_of(fit(name, encoded, seed)[0], matrix) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first == other).all() == (name == "logistic_regression")


def test_the_forest_reports_its_loss_every_few_trees(encoded: "Encoded") -> None:
    model, history = fit("random_forest", encoded)
    assert [row["step"] for row in history] == [10, 12]
    assert len(model["classifier"].estimators_) == 12
    probability = estimators.probability_of(model, encoded.validation[0])
    labels = encoded.validation[1]
    loss = -np.mean(np.log(np.where(labels == 1, probability, 1 - probability)))
    assert history[-1]["validation_log_loss"] == pytest.approx(loss)


def test_boosting_stops_when_the_validation_loss_no_longer_falls(encoded: "Encoded") -> None:
    model, history = fit("gradient_boosting", encoded)
    losses = [row["validation_log_loss"] for row in history]
    assert model.n_iter_ < SETTINGS["gradient_boosting"].max_iter
    assert len(history) == model.n_iter_ + 1
    assert min(losses[-3:]) >= min(losses)


def test_a_code_without_training_rows_gets_no_weight(encoded: "Encoded") -> None:
    matrix, labels = encoded.train
    known = matrix[:, 9] != 0
    seen = type(encoded)(encoded.encoder, (matrix[known], labels[known]), encoded.validation)
    model, _ = fit("logistic_regression", seen)
    weights = model["classifier"].coef_[0]
    assert weights[9] == pytest.approx(0)
    assert weights[9 + 3] > 0.1


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kept", ["numbers", "categories"])
def test_numbers_alone_and_categories_alone_are_enough(encoded: "Encoded", name: str, kept: str) -> None:
    columns = slice(0, 9) if kept == "numbers" else slice(9, 11)
    encoder = Encoder(encoded.encoder.numbers, {}) if kept == "numbers" else Encoder((), encoded.encoder.categories)
    part = type(encoded)(
        encoder,
        (encoded.train[0][:, columns], encoded.train[1]),
        (encoded.validation[0][:, columns], encoded.validation[1]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _ = fit(name, part)
    assert np.isfinite(estimators.probability_of(model, part.validation[0])).all()
