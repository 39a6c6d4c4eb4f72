"""Metrics of weighted rows: whole weights are so many equal rows, and the numbers are scikit-learn's."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies
from sklearn import metrics

from ontime.model_evaluation.binary_judge import BinaryJudge
from ontime.model_evaluation.evaluate import permutation_importance
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.judge import Judge
from ontime.model_evaluation.metrics import CALIBRATION_BINS, best_threshold, equal_bins
from ontime.model_evaluation.multiclass_judge import MulticlassJudge
from ontime.model_evaluation.regression_judge import RegressionJudge
from ontime.model_evaluation.resampling import score_of
from ontime.model_evaluation.settings import Decision
from ontime.tasks.binary import Binary
from ontime.tasks.task import task_of
from tests.encoded import Encoded

DECISION = Decision(false_alarm_cost=1.0, missed_event_cost=3.0)
ROWS, SLICES = 200, ["kind"]
SCORES = {
    "binary": ("roc_auc", "pr_auc", "log_loss", "brier_score"),
    "multiclass": ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro"),
    "regression": ("rmse", "mae", "r2"),
}
property_test = settings(max_examples=10, deadline=None, derandomize=True, database=None)
SEEDS = strategies.integers(0, 10_000)


class Drawn:
    """Rows of a task whose weights are whole numbers of which some are 0, and the same rows repeated as often."""

    def __init__(self, task: str, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.judge: Judge
        if task == "regression":
            self.judge, self.outputs = RegressionJudge(), random.normal(size=ROWS).round(1)
            self.target: Any = self.outputs + random.normal(size=ROWS)
        elif task == "binary":
            self.judge, self.outputs = BinaryJudge(), random.random(ROWS).round(1)
            self.judge.decision = DECISION
            self.target = (random.random(ROWS) < self.outputs).astype(np.int8)
        else:
            self.judge, self.outputs = MulticlassJudge(["a", "b", "c"]), random.dirichlet(np.ones(3), ROWS)
            self.target = (self.outputs.cumsum(axis=1) > random.random((ROWS, 1))).argmax(axis=1).astype(np.int8)
        self.weights = random.integers(0, 4, ROWS).astype(np.float64)
        # a sum that ten bins divide, as the bins of repeated rows have whole numbers of rows
        self.weights[0] += (-self.weights.sum()) % CALIBRATION_BINS
        self.rows = pd.DataFrame({"kind": random.choice(["x", "y"], ROWS)})
        times = self.weights.astype(np.int64)
        self.repeated: dict[str, Any] = {
            "target": np.repeat(self.target, times),
            "outputs": np.repeat(self.outputs, times, axis=0),
            "rows": self.rows.loc[np.repeat(self.rows.index, times)].reset_index(drop=True),
        }


@pytest.mark.parametrize("task", SCORES)
@property_test
@given(SEEDS)
def test_whole_weights_are_repeated_rows(task: str, seed: int) -> None:
    one = Drawn(task, seed)
    target, outputs, rows = one.repeated["target"], one.repeated["outputs"], one.repeated["rows"]
    rule = one.judge.rule(one.target, one.outputs, one.weights)
    assert rule == one.judge.rule(target, outputs)
    found = one.judge.summarize(one.target, one.outputs, rule, one.weights)
    assert (found.pop("rows"), found.pop("sum_of_weights")) == (ROWS, len(target))
    expected = one.judge.summarize(target, outputs, rule)
    assert expected.pop("rows") == len(target)
    assert found == pytest.approx(expected, abs=2e-6, rel=2e-5)
    table = one.judge.by_slice(one.rows, SLICES, one.target, one.outputs, rule, one.weights).set_index("slice")
    again = one.judge.by_slice(rows, SLICES, target, outputs, rule).set_index("slice")
    assert table["sum_of_weights"].to_dict() == again["rows"].to_dict()
    pd.testing.assert_frame_equal(
        table.drop(columns=["rows", "sum_of_weights"]).sort_index(),
        again.drop(columns="rows").sort_index(),
        atol=2e-6,
        rtol=2e-5,
    )
    curves = one.judge.curves(one.target, one.outputs, one.weights)
    for name, curve in one.judge.curves(target, outputs).items():
        sized = "sum_of_weights" in curves[name]
        weighted = (
            curves[name].drop(columns="rows").rename(columns={"sum_of_weights": "rows"}) if sized else curves[name]
        )
        if name in ("roc", "precision_recall", "errors"):
            # the points may be others, but the curve is the same
            areas = [np.trapezoid(one.iloc[:, 1], one.iloc[:, 0]) for one in (weighted, curve)]
            assert areas[0] == pytest.approx(areas[1], abs=0.01 * np.ptp(curve.iloc[:, 0]))
        else:
            pd.testing.assert_frame_equal(weighted, curve, check_dtype=False, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("task", SCORES)
@property_test
@given(SEEDS)
def test_a_score_that_is_resampled_counts_a_row_as_often_as_it_is_drawn_times_its_weight(task: str, seed: int) -> None:
    one = Drawn(task, seed)
    times = np.random.default_rng(seed + 1).integers(1, 3, ROWS)
    repeats = (times * one.weights).astype(np.int64)
    target, outputs = np.repeat(one.target, repeats), np.repeat(one.outputs, repeats, axis=0)
    for name in SCORES[task]:
        score, again = score_of(name, one.target, one.outputs, one.weights), score_of(name, target, outputs)
        assert score(times) == pytest.approx(again(np.ones(len(target), dtype=np.int64)), nan_ok=True)


@property_test
@given(SEEDS)
def test_fractional_weights_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.gamma(1, 3, ROWS)
    one = Drawn("binary", seed)
    found = one.judge.summarize(one.target, one.outputs, {"threshold": 0.5}, weights)
    alarm = one.outputs >= 0.5
    expected = {
        "roc_auc": metrics.roc_auc_score(one.target, one.outputs, sample_weight=weights),
        "pr_auc": metrics.average_precision_score(one.target, one.outputs, sample_weight=weights),
        "log_loss": metrics.log_loss(one.target, one.outputs, sample_weight=weights),
        "brier_score": metrics.brier_score_loss(one.target, one.outputs, sample_weight=weights),
        "precision": metrics.precision_score(one.target, alarm, sample_weight=weights),
        "recall": metrics.recall_score(one.target, alarm, sample_weight=weights),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    one = Drawn("regression", seed)
    found = one.judge.summarize(one.target, one.outputs, {}, weights)
    expected = {
        "rmse": metrics.root_mean_squared_error(one.target, one.outputs, sample_weight=weights),
        "mae": metrics.mean_absolute_error(one.target, one.outputs, sample_weight=weights),
        "r2": metrics.r2_score(one.target, one.outputs, sample_weight=weights),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    one = Drawn("multiclass", seed)
    found, decided = one.judge.summarize(one.target, one.outputs, {}, weights), one.outputs.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(one.target, decided, sample_weight=weights),
        "f1_macro": metrics.f1_score(one.target, decided, average="macro", sample_weight=weights),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("task", SCORES)
def test_weights_of_one_change_no_figure_but_their_sum(task: str) -> None:
    one = Drawn(task, 0)
    ones = np.ones(ROWS)
    rule = one.judge.rule(one.target, one.outputs)
    assert one.judge.rule(one.target, one.outputs, ones) == rule
    found = one.judge.summarize(one.target, one.outputs, rule, ones)
    assert found == {**one.judge.summarize(one.target, one.outputs, rule), "sum_of_weights": ROWS}


def test_bins_have_equal_weight_and_a_row_at_an_edge_counts_in_both() -> None:
    found = equal_bins(np.array([0.1, 0.9]), {"p": np.array([0.1, 0.9])}, np.array([1.0, 3.0]))
    assert found["sum_of_weights"].tolist() == pytest.approx([0.4] * 10)
    assert found["p"].tolist() == pytest.approx([0.1, 0.1, (0.2 * 0.1 + 0.2 * 0.9) / 0.4, *[0.9] * 7])
    assert found["rows"].sum() == 2


def test_a_dear_row_moves_the_threshold() -> None:
    labels, probability = np.array([0, 1, 0, 1], np.int8), np.array([0.1, 0.2, 0.3, 0.9])
    assert best_threshold(labels, probability, DECISION, np.array([1.0, 1.0, 1.0, 1.0])) == 0.2
    assert best_threshold(labels, probability, DECISION, np.array([1.0, 0.1, 1.0, 1.0])) == 0.9


def test_a_slice_of_which_no_row_counts_is_left_out() -> None:
    one = Drawn("binary", 0)
    weights = np.where(one.rows["kind"] == "x", 0.0, 1.0)
    table = one.judge.by_slice(one.rows, SLICES, one.target, one.outputs, {"threshold": 0.5}, weights)
    assert table["slice"].tolist() == ["kind=y"]


@pytest.mark.parametrize("columns", [[], ["kind"], ["kind", "place"]])
def test_the_past_rate_of_whole_weights_is_that_of_repeated_rows(columns: list[str]) -> None:
    random = np.random.default_rng(0)
    train = pd.DataFrame(
        {name: random.choice(np.array(["a", "b", None], dtype=object), 60) for name in ("kind", "place")}
    )
    train = train.assign(w=random.integers(0, 4, 60).astype(float), target=random.integers(0, 2, 60))
    repeated = train.loc[np.repeat(train.index, train["w"].astype(int))]
    expected = past_rate(repeated, train, columns)
    np.testing.assert_allclose(past_rate(train, train, columns, "w"), expected)
    assert not np.allclose(past_rate(train, train, columns), expected)


def test_the_importance_of_a_feature_is_that_for_the_rows_that_count(encoded: Encoded) -> None:
    matrix, labels = encoded.validation
    weights = np.where(matrix[:, 0] > 0, 1.0, 0.0)

    def predict(rows: Any) -> Any:
        return np.where(rows[:, 0] > 0, 0.5, np.clip(np.nan_to_num(rows[:, 1]), 0.1, 0.9))

    only = permutation_importance(predict, matrix, labels, encoded.encoder, 0, Binary(), weights)
    every = permutation_importance(predict, matrix, labels, encoded.encoder, 0, Binary())
    assert not only.set_index("feature").equals(every.set_index("feature"))


@pytest.mark.parametrize("task", SCORES)
def test_a_loss_of_whole_weights_is_that_of_repeated_rows(task: Any) -> None:
    one = Drawn(task, 1)
    kind = task_of(task, ["a", "b", "c"] if task == "multiclass" else ())
    outputs = one.outputs.clip(0.01, 0.99) if task == "binary" else one.outputs
    times = one.weights.astype(int)
    repeated = kind.loss(one.repeated["target"], np.repeat(outputs, times, axis=0))
    assert kind.loss(one.target, outputs, one.weights) == pytest.approx(repeated)
