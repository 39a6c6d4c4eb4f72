"""Sums of labelled rows of classes add up, and say what scikit-learn says of the rows themselves."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ontime.model_deployment.export.label_sums import ALL, SEGMENT_ROWS, sums_from_json
from ontime.model_deployment.export.multiclass_series import MulticlassMeasures
from tests.labelled_days import CLASSES, classes

MEASURES = MulticlassMeasures(CLASSES)


def rows_of(seed: int, days: int = 5) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Labels, probabilities and slices."""
    rows = classes(seed, days)
    return rows["target"].to_numpy(), np.stack(rows["probability"].to_list()), rows[["depot"]]


def test_the_sums_of_parts_are_those_of_all_rows() -> None:
    target, outputs, slices = rows_of(0)
    places = np.array_split(np.arange(len(target)), 7)
    parts = [MEASURES.sums_of(target[part], outputs[part], slices.iloc[part]) for part in places]
    together, whole = MEASURES.added(parts), MEASURES.sums_of(target, outputs, slices)
    assert sorted(whole.segments) == [ALL, "depot=north", "depot=south"]
    kept = sums_from_json(json.loads(json.dumps(whole.as_json())))
    assert kept.rows == together.rows == whole.rows == len(target)
    for name, sums in whole.segments.items():
        assert sums.shape == (MEASURES.width,)
        np.testing.assert_allclose(together.segments[name], sums, rtol=1e-12)
        np.testing.assert_allclose(kept.segments[name], sums, rtol=1e-8)


def test_quality_is_scikit_learns_and_the_expected_one_that_of_rows_weighted_by_their_probabilities() -> None:
    target, outputs, slices = rows_of(1)
    found = MEASURES.quality(MEASURES.sums_of(target, outputs, slices), {})
    every, each = np.repeat(outputs, len(CLASSES), axis=0), np.tile(np.arange(len(CLASSES)), len(target))
    expected = {
        "log_loss": {
            "truth": metrics.log_loss(target, outputs),
            "expected": metrics.log_loss(each, every, sample_weight=outputs.ravel()),
        },
        "accuracy": {
            "truth": metrics.accuracy_score(target, outputs.argmax(axis=1)),
            "expected": metrics.accuracy_score(each, every.argmax(axis=1), sample_weight=outputs.ravel()),
        },
    }
    for metric, values in expected.items():
        assert found[metric] == pytest.approx(values, abs=1e-9), metric


def test_offsets_are_of_each_class_and_of_a_segment_less_the_rest_and_a_small_one_has_none() -> None:
    target, outputs, slices = rows_of(2)
    slices["depot"] = np.where(np.arange(len(target)) < SEGMENT_ROWS - 1, "small", slices["depot"])
    found = MEASURES.shifts(*MEASURES.stacked([MEASURES.sums_of(target, outputs, slices)]))
    south = (slices["depot"] == "south").to_numpy()
    for place, name in enumerate(CLASSES):
        off = (target == place) - outputs[:, place]
        assert found[f"offset of {name}", ALL][0] == pytest.approx(off.mean())
        assert found[f"offset of {name}", "depot=south"][0] == pytest.approx(off[south].mean() - off[~south].mean())
        assert np.isnan(found[f"offset of {name}", "depot=small"][0])


def test_no_rows_are_nothing_and_a_probability_of_0_costs_what_can_be_added_up() -> None:
    nothing = MEASURES.sums_of(np.empty(0, dtype=np.int8), np.empty((0, 3)), pd.DataFrame())
    assert nothing.rows == 0
    np.testing.assert_array_equal(nothing.segments[ALL], MEASURES.nothing().segments[ALL])
    assert all(np.isnan(values[0]) for values in MEASURES.shifts(*MEASURES.stacked([nothing])).values())
    certain = MEASURES.sums_of(np.array([0, 1], dtype=np.int8), np.eye(3)[[1, 1]], pd.DataFrame(index=range(2)))
    assert np.isfinite(certain.segments[ALL]).all()
