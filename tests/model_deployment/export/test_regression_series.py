"""Sums of labelled rows of numbers add up, and say what scikit-learn says of the rows themselves."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ontime.model_deployment.export.label_sums import ALL, SEGMENT_ROWS, sums_from_json
from ontime.model_deployment.export.regression_series import RegressionMeasures
from tests.labelled_days import numbers

MEASURES = RegressionMeasures()


def rows_of(seed: int, days: int = 5) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Labels, predictions and slices."""
    rows = numbers(seed, days)
    return rows["target"].to_numpy(), rows["prediction"].to_numpy(), rows[["depot"]]


def test_the_sums_of_parts_are_those_of_all_rows() -> None:
    target, outputs, slices = rows_of(0)
    places = np.array_split(np.arange(len(target)), 7)
    parts = [MEASURES.sums_of(target[part], outputs[part], slices.iloc[part]) for part in places]
    together, whole = MEASURES.added(parts), MEASURES.sums_of(target, outputs, slices)
    kept = sums_from_json(json.loads(json.dumps(whole.as_json())))
    assert kept.rows == together.rows == whole.rows == len(target)
    for name, sums in whole.segments.items():
        np.testing.assert_allclose(together.segments[name], sums, rtol=1e-9)
        np.testing.assert_allclose(kept.segments[name], sums, rtol=1e-8)


def test_quality_is_scikit_learns_and_the_error_is_expected_to_be_as_usual() -> None:
    target, outputs, slices = rows_of(1)
    sums = MEASURES.sums_of(target, outputs, slices)
    found = MEASURES.quality(sums, {("rmse", ALL): 123.0})
    assert found["rmse"] == pytest.approx(
        {"truth": metrics.root_mean_squared_error(target, outputs), "expected": 123.0}
    )
    assert found["mae"] == pytest.approx({"truth": metrics.mean_absolute_error(target, outputs)})
    assert np.isnan(MEASURES.quality(sums, {})["rmse"]["expected"])


def test_a_small_error_of_large_numbers_is_not_lost_in_what_is_kept() -> None:
    target = 1e9 + np.arange(100.0)
    sums = MEASURES.sums_of(target, target - 0.25, pd.DataFrame(index=range(100)))
    kept = sums_from_json(json.loads(json.dumps(sums.as_json())))
    assert MEASURES.shifts(*MEASURES.stacked([kept]))["offset", ALL] == pytest.approx([0.25])


def test_the_offset_is_of_a_segment_less_the_rest_and_a_small_one_has_none() -> None:
    target, outputs, slices = rows_of(2)
    slices["depot"] = np.where(np.arange(len(target)) < SEGMENT_ROWS - 1, "small", slices["depot"])
    found = MEASURES.shifts(*MEASURES.stacked([MEASURES.sums_of(target, outputs, slices)]))
    south, off = (slices["depot"] == "south").to_numpy(), target - outputs
    assert found["offset", ALL][0] == pytest.approx(off.mean())
    assert found["offset", "depot=south"][0] == pytest.approx(off[south].mean() - off[~south].mean())
    assert np.isnan(found["offset", "depot=small"][0])
    nothing = MEASURES.shifts(*MEASURES.stacked([MEASURES.nothing()]))
    assert all(np.isnan(values[0]) for values in nothing.values())
