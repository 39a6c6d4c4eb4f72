"""Each task's loss, strata and answers, against scikit-learn and by property."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ontime.model_evaluation.judge import JUDGES
from ontime.tasks.answers import BinaryAnswer, RegressionAnswer, answer_of, one_number
from ontime.tasks.binary import Binary
from ontime.tasks.multiclass import Multiclass
from ontime.tasks.regression import Regression
from ontime.tasks.task import CLASSES, as_column, from_column, target_of, task_of

FLOATS = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=50))
def test_the_loss_of_numbers_is_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    target, outputs = (np.array(values) for values in zip(*pairs, strict=True))
    assert Regression().loss(target, outputs) == pytest.approx(metrics.root_mean_squared_error(target, outputs))


@settings(max_examples=50, deadline=None)
@given(st.lists(FLOATS | st.none(), min_size=1, max_size=200))
def test_strata_hold_each_row_with_a_target_once_and_in_the_order_of_targets(values: list[float | None]) -> None:
    target = pd.Series(values, dtype="float64")
    strata = Regression().strata(target)
    places = np.concatenate([*strata, np.array([], dtype=int)]).astype(int)
    assert sorted(places) == list(np.flatnonzero(target.notna()))
    assert (np.diff(target.to_numpy()[places]) >= 0).all()
    assert max(map(len, strata), default=0) - min(map(len, strata), default=0) <= 1


def test_a_target_without_enough_to_learn_from_is_told() -> None:
    rows = pd.Series([0] * 9 + [1] * 4 + [None], dtype="Int8")
    assert Binary().fault(rows) == "4 rows of the rarer class and needs 5"
    assert Binary().fault(pd.concat([rows, pd.Series([1], dtype="Int8")])) is None
    assert Regression().fault(pd.Series([1.5, 1.5, 2.0])) == "2 different values and needs 3"
    assert Regression().fault(pd.Series([1.5, 2.5, 3.0])) is None


def test_events_are_int8_and_numbers_float64() -> None:
    assert target_of(pd.DataFrame({"target": pd.Series([0, 1], dtype="Int8")})).dtype == np.int8
    assert target_of(pd.DataFrame({"target": [0.0, 1.0]})).dtype == np.int8
    assert target_of(pd.DataFrame({"target": [0.0, 2.0]})).dtype == np.float64


def test_every_task_that_has_a_judge_has_a_class_of_its_name() -> None:
    assert set(JUDGES) <= set(CLASSES)
    assert {task_of(name).name for name in JUDGES} == set(JUDGES)


def test_an_event_is_decided_by_the_threshold_and_a_number_is_not() -> None:
    outputs = np.array([0.1, 0.3, 0.5], dtype=np.float32)
    binary, regression = answer_of("binary", 0.3), answer_of("regression", None)
    assert binary.values("decision", outputs).tolist() == [False, True, True]
    assert list(binary.types) == ["probability", "decision"]
    assert list(regression.types) == ["prediction"]
    assert regression.values("prediction", outputs) is outputs
    assert isinstance(binary, BinaryAnswer)
    assert isinstance(regression, RegressionAnswer)
    with pytest.raises(ValueError, match="a binary model needs a threshold"):
        answer_of("binary", None)


@settings(max_examples=50, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=64), st.lists(FLOATS, min_size=1, max_size=64))
def test_buckets_of_numbers_rise_and_are_in_common_with_those_of_another_model(
    values: list[float], others: list[float]
) -> None:
    found, other = (RegressionAnswer().edges(np.array(golden)) for golden in (values, others))
    for edges, golden in ((found, values), (other, others)):
        assert (np.diff(edges) > 0).all()
        assert len(edges) <= 42
        assert np.mean((golden < edges[0]) | (golden > edges[-1])) <= 0.1
    if min(len(found), len(other)) > 1:
        fine, coarse = sorted((found, other), key=lambda edges: edges[1] - edges[0])
        between = coarse[(coarse >= fine[0]) & (coarse <= fine[-1])]
        assert set(between) <= set(fine)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.floats(0.01, 1), min_size=4, max_size=4)), min_size=1))
def test_the_loss_of_classes_is_scikit_learns(rows: list[tuple[int, list[float]]]) -> None:
    target, outputs = np.array([one for one, _ in rows]), np.array([said for _, said in rows])
    outputs /= outputs.sum(axis=1, keepdims=True)
    expected = metrics.log_loss(target, outputs, labels=range(4))
    assert Multiclass("abcd").loss(target, outputs) == pytest.approx(expected)


def test_classes_are_counted_by_name_and_answered_by_the_most_probable() -> None:
    task = Multiclass(["few", "many", "some"])
    target = pd.Series([1] * 9 + [2] * 5 + [0] * 4 + [None], dtype="Int8")
    assert task.fault(target) == "4 rows of class few and needs 5"
    assert [len(part) for part in task.strata(target)] == [4, 9, 5]
    assert task.order(target).sum() == 9
    assert [one.sum() for one in task.means(target)] == [4, 9, 5]
    outputs = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]], dtype=np.float32)
    answer = answer_of("multiclass", None, task.classes)
    assert answer.values("decision", outputs).tolist() == ["many", "few", "some"]
    np.testing.assert_array_equal(one_number(outputs), outputs.max(axis=1))
    logged = {
        "probability": np.array([*outputs, None], dtype=object)[:3],
        "decision": np.array(["many", "some", "few"]),
    }
    assert answer.agrees(logged, outputs, 1e-6).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="a multiclass model needs 3 classes or more, each with a name of its own"):
        answer_of("multiclass", None, ["a", "b", "b"])


def test_outputs_of_classes_are_a_column_of_lists_and_back() -> None:
    outputs = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(from_column(pd.Series(as_column(outputs))), outputs)
    assert from_column(pd.Series(as_column(outputs[:, 0]))).shape == (2,)


def test_logged_answers_agree_within_a_tolerance() -> None:
    outputs = np.array([10.0, 20.0, np.nan], dtype=np.float32)
    logged = {"prediction": np.array([10.001, 21.0, np.nan])}
    assert RegressionAnswer().agrees(logged, outputs, 0.01).tolist() == [True, False, False]
    outputs = np.array([0.2, 0.2, 0.300001], dtype=np.float32)
    logged = {"probability": outputs, "decision": np.array([False, True, False])}
    assert BinaryAnswer(0.3).agrees(logged, outputs, 1e-5).tolist() == [True, False, True]
