"""Random orders: the sum is exact, an additive margin too, and what is estimated is near and always the same."""

import numpy as np
import numpy.typing as npt
import pytest

from ontime.model_deployment.inference.sampled_shapley import SampledShapley
from tests.shapley import by_enumeration

RANDOM = np.random.default_rng(5)
ALONE = np.arange(6)
"""Each column is a feature."""
BACKGROUND, ROWS = RANDOM.normal(size=(20, 6)).astype(np.float32), RANDOM.normal(size=(8, 6)).astype(np.float32)


def additive(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """A sum of functions of one feature each."""
    wide = matrix.astype(np.float64)
    return np.asarray(wide[:, 0] ** 2 + np.sin(wide[:, 3]) - 2 * wide[:, 5] + 0.5)


def mixed(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Features that count together."""
    wide = matrix.astype(np.float64)
    return np.asarray(additive(matrix) + wide[:, 0] * wide[:, 1] + np.maximum(wide[:, 2], wide[:, 3]) * wide[:, 4])


def test_a_sum_of_functions_of_one_feature_is_explained_exactly() -> None:
    explained = SampledShapley(additive, BACKGROUND, ALONE)
    for row in ROWS:
        contributions, base = explained.contributions(row)
        np.testing.assert_allclose(contributions, by_enumeration(additive, row, BACKGROUND), rtol=0, atol=1e-12)
        assert base == pytest.approx(additive(BACKGROUND).mean(), abs=1e-12)


def test_pairs_are_explained_exactly_by_an_order_and_its_reverse() -> None:
    def pairs(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.asarray(additive(matrix) + matrix[:, 0].astype(np.float64) * matrix[:, 1])

    explained = SampledShapley(pairs, BACKGROUND, ALONE)
    for row in ROWS:
        np.testing.assert_allclose(
            explained.contributions(row)[0], by_enumeration(pairs, row, BACKGROUND), rtol=0, atol=1e-12
        )


def test_other_margins_are_explained_nearly_and_add_up_exactly() -> None:
    explained = SampledShapley(mixed, BACKGROUND, ALONE)
    assert explained.permutations == 2 * 7 * 20
    for row in ROWS:
        contributions, base = explained.contributions(row)
        assert base + contributions.sum() == pytest.approx(mixed(row[None])[0], abs=1e-12)
        expected = by_enumeration(mixed, row, BACKGROUND)
        assert np.abs(contributions - expected).max() < 0.2 * np.abs(expected).max()


def test_the_columns_of_a_feature_are_taken_from_the_row_together() -> None:
    feature_of = np.array([0, 1, 2, 3, 1, 1])

    def with_copies(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.column_stack([matrix, matrix[:, 1], matrix[:, 1]])

    def product(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        # what two columns of a feature make together is that feature's alone
        return np.asarray(matrix[:, 1].astype(np.float64) * matrix[:, 4] + matrix[:, 0] * matrix[:, 5])

    background, rows = BACKGROUND[:, :4], ROWS[:, :4]
    explained = SampledShapley(product, with_copies(background), feature_of)
    for row in rows:
        expected = by_enumeration(lambda matrix: product(with_copies(matrix)), row, background)
        found, _ = explained.contributions(with_copies(row[None])[0])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_same_row_is_always_explained_by_the_same_numbers() -> None:
    first, second = (SampledShapley(mixed, BACKGROUND, ALONE).contributions(ROWS[0])[0] for _ in range(2))
    assert first.tolist() == second.tolist()
