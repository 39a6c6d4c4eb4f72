"""Every family's explanation adds up to the log-odds or the probability, and is called exact only where it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.explanation import Explainer
from ontime.model_training.families import FAMILIES
from tests.shapley import by_enumeration

EXACT = {"logistic_regression": False, "random_forest": True, "gradient_boosting": True, "neural_network": False}
Load = Callable[[str], Champion]


@pytest.fixture(scope="module")
def load(exported: Callable[[str], Path]) -> Load:
    """A function that loads a family of the fork."""
    return lambda family: load_champion(exported(family))


@pytest.mark.parametrize("family", FAMILIES["binary"])
def test_base_value_and_contributions_add_up_to_the_margin(load: Load, family: str) -> None:
    model = load(family)
    rows = model.background
    found = Explainer(model).explain(rows)
    assert found.contributions.shape == rows.shape
    np.testing.assert_allclose(found.base_value + found.contributions.sum(axis=1), found.margin, rtol=0, atol=1e-9)
    probability = model.predict(rows).astype(np.float64)
    margin = probability if found.scale == "probability" else np.log(probability / (1 - probability))
    np.testing.assert_allclose(found.margin, margin, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.base_value, margin.mean(), rtol=0, atol=1e-5)
    assert found.scale == ("probability" if family == "random_forest" else "log-odds")
    assert found.exact.tolist() == [EXACT[family]] * len(rows)
    assert found.permutations == (0 if model.trees else 256)


@pytest.mark.parametrize("family", FAMILIES["binary"])
def test_contributions_are_those_by_enumeration_and_near_for_a_network(load: Load, family: str) -> None:
    model = load(family)
    explainer = Explainer(model)
    found = explainer.explain(model.background[:4])
    for row, contributions in zip(model.background[:4], found.contributions, strict=True):
        expected = by_enumeration(lambda matrix: explainer._margin(model.predict(matrix)), row, model.background)
        tolerance = 0.1 * np.abs(expected).max() if family == "neural_network" else 1e-5
        np.testing.assert_allclose(contributions, expected, rtol=0, atol=tolerance)


def test_a_forest_whose_paths_are_too_long_is_explained_by_its_session(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load("random_forest")
    exact = Explainer(model).explain(model.background)
    monkeypatch.setattr("ontime.model_deployment.inference.tree_shapley.MOST_FEATURES", 2)
    found = Explainer(model).explain(model.background)
    assert (found.scale, found.permutations) == ("probability", 256)
    assert not found.exact.any()
    np.testing.assert_allclose(found.margin, exact.margin, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.contributions, exact.contributions, rtol=0, atol=0.05)


def test_log_odds_that_a_probability_does_not_tell_are_finite(load: Load) -> None:
    model = load("logistic_regression")
    sure = np.array([[1e9, 0, 2, 2], model.background[0]], dtype=np.float32)
    found = Explainer(model).explain(sure)
    assert np.isfinite(found.contributions).all()
