"""Sums of labelled rows add up to those of all rows, and say what scikit-learn says of the rows themselves."""

import json

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn import metrics

from ontime.model_deployment.export.binary_series import BINS, BinaryMeasures, expected_roc_auc
from ontime.model_deployment.export.label_sums import ALL, SEGMENT_ROWS, sums_from_json

BINARY = BinaryMeasures()
Rows = tuple[npt.NDArray[np.int8], npt.NDArray[np.float64], pd.DataFrame]


def rows_of(seed: int, rows: int = 2000, odds: float = 1.0) -> Rows:
    """Labels that follow their probabilities, but for the odds."""
    random = np.random.default_rng(seed)
    # in the middle of bins, so that the area by bins is exact
    probability = (np.floor(random.beta(1, 3, rows) * BINS) + 0.5) / BINS
    chance = odds * probability / (1 + (odds - 1) * probability)
    label = (random.random(rows) < chance).astype(np.int8)
    depots = random.choice(["north", "south", ""], rows, p=[0.6, 0.3, 0.1])
    return (
        label,
        probability,
        pd.DataFrame({"depot": pd.Series(depots).mask(depots == ""), "day": random.choice([1, 2], rows)}),
    )


def test_the_sums_of_parts_are_those_of_all_rows() -> None:
    label, probability, slices = rows_of(0)
    parts = [
        BINARY.sums_of(label[part], probability[part], slices.iloc[part]) for part in np.array_split(np.arange(2000), 7)
    ]
    together, whole = BINARY.added(parts), BINARY.sums_of(label, probability, slices)
    assert sorted(together.segments) == sorted(whole.segments)
    assert sorted(whole.segments) == [ALL, "day=1", "day=2", "depot=(missing)", "depot=north", "depot=south"]
    for name, sums in whole.segments.items():
        np.testing.assert_allclose(together.segments[name], sums, rtol=1e-12)
    np.testing.assert_array_equal(together.bins, whole.bins)
    kept = sums_from_json(json.loads(json.dumps(whole.as_json())))
    assert kept.rows == whole.rows == 2000
    for name, sums in whole.segments.items():
        np.testing.assert_allclose(kept.segments[name], sums, rtol=1e-8)


def test_quality_is_scikit_learns_and_the_expected_one_that_of_rows_weighted_by_their_probability() -> None:
    label, probability, slices = rows_of(1)
    found = BINARY.quality(BINARY.sums_of(label, probability, slices), {})
    twice, both = np.tile(probability, 2), np.repeat([1, 0], len(probability))
    weights = np.concatenate([probability, 1 - probability])
    expected = {
        "roc_auc": {
            "truth": metrics.roc_auc_score(label, probability),
            "expected": metrics.roc_auc_score(both, twice, sample_weight=weights),
        },
        "log_loss": {
            "truth": metrics.log_loss(label, probability),
            "expected": metrics.log_loss(both, twice, sample_weight=weights),
        },
    }
    for metric, values in expected.items():
        assert found[metric] == pytest.approx(values, abs=1e-9), metric


def test_labels_that_follow_the_probabilities_have_the_expected_quality() -> None:
    label, probability, slices = rows_of(2, rows=200_000)
    found = BINARY.quality(BINARY.sums_of(label, probability, slices), {})
    assert found["roc_auc"]["truth"] == pytest.approx(found["roc_auc"]["expected"], abs=0.005)
    assert found["log_loss"]["truth"] == pytest.approx(found["log_loss"]["expected"], abs=0.005)


def test_a_segments_offset_is_less_that_of_the_rest_and_a_small_one_has_none() -> None:
    label, probability, slices = rows_of(3)
    slices["depot"] = np.where(np.arange(2000) < SEGMENT_ROWS - 1, "small", slices["depot"].fillna("north"))
    found = {
        name: values[0]
        for name, values in BINARY.shifts(*BINARY.stacked([BINARY.sums_of(label, probability, slices)])).items()
    }
    south = (slices["depot"] == "south").to_numpy()
    off = label - probability
    assert found["offset", "depot=south"] == pytest.approx(off[south].mean() - off[~south].mean())
    assert found["offset", ALL] == pytest.approx(off.mean())
    assert np.isnan(found["offset", "depot=small"])


def test_no_rows_and_rows_of_one_kind_have_no_area() -> None:
    assert np.isnan(expected_roc_auc(np.zeros(BINS)))
    label, probability, slices = rows_of(4, rows=100)
    one_kind = BINARY.shifts(*BINARY.stacked([BINARY.sums_of(np.zeros_like(label), probability, slices)]))
    assert np.isnan(one_kind["roc_auc", ALL][0])
    assert one_kind["offset", ALL][0] < 0
    nothing = BINARY.sums_of(label[:0], probability[:0], slices[:0])
    assert nothing.rows == 0
    assert all(np.isnan(values[0]) for values in BINARY.shifts(*BINARY.stacked([nothing])).values())


def test_a_probability_of_0_or_1_costs_what_can_be_added_up() -> None:
    found = BINARY.sums_of(np.array([1, 0], dtype=np.int8), np.array([0.0, 1.0]), pd.DataFrame(index=range(2)))
    assert np.isfinite(found.segments[ALL]).all()
    assert found.bins[:, [0, -1]].tolist() == [[1, 1], [1, 0]]
