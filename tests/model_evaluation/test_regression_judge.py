"""Errors of numbers, against scikit-learn; curves and slices."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ontime.model_evaluation.regression_judge import RegressionJudge
from ontime.tasks.regression import significant

FLOATS = st.floats(-1e5, 1e5, width=32)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=3, max_size=60))
def test_metrics_are_scikit_learns_to_six_digits(pairs: list[tuple[float, float]]) -> None:
    target, outputs = (np.array(values) for values in zip(*pairs, strict=True))
    assume(target.std() > 1e-3)
    found = RegressionJudge().summarize(target, outputs, {})
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(target, outputs), rel=1e-5)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(target, outputs), rel=1e-5)
    assert found["r2"] == pytest.approx(metrics.r2_score(target, outputs), rel=1e-5, abs=1e-5)
    assert found["rows"] == len(pairs)


def test_nothing_is_chosen_on_validation() -> None:
    assert RegressionJudge().rule(np.arange(3.0), np.arange(3.0)) == {}


def test_a_small_slice_has_no_error() -> None:
    target = np.arange(70.0)
    rows = pd.DataFrame({"town": ["a"] * 60 + ["b"] * 10})
    table = RegressionJudge().by_slice(rows, ["town"], target, target + 2, {})
    assert table["slice"].tolist() == ["town=a", "town=b"]
    assert table["rows"].tolist() == [60, 10]
    assert table["rmse"].tolist()[0] == 2.0
    assert table["rmse"].isna().tolist() == table["mae"].isna().tolist() == [False, True]
    assert (table["mean_prediction"] - table["mean_target"]).tolist() == [2.0, 2.0]


def test_curves_are_tables_of_all_rows() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=1000)
    curves = RegressionJudge().curves(target, target + 0.5)
    assert curves["calibration"]["rows"].tolist() == [100] * 10
    assert (curves["calibration"]["prediction"] - curves["calibration"]["target"]).to_numpy() == pytest.approx(
        0.5, abs=1e-5
    )
    assert curves["errors"]["absolute_error"].to_numpy() == pytest.approx(0.5)
    assert curves["errors"]["share_of_rows"].iloc[-1] == 1


@pytest.mark.parametrize(("number", "shown"), [(1234567.8, 1234570.0), (0.000123456789, 0.000123457), (0, 0.0)])
def test_numbers_keep_six_digits_of_any_size(number: float, shown: float) -> None:
    assert significant(number) == shown
