"""A gate that chance does not trip, and that a worse model always does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET
from ontime.data_source.task_settings import GATE
from ontime.model_evaluation.metrics import cost_per_1000
from ontime.model_evaluation.settings import Decision
from ontime.parameters import load_params
from ontime.pull_request.gate import (
    Comparison,
    Gate,
    Predictions,
    Tolerance,
    _score,
    compare_metrics,
    compare_slices,
    paired,
)

ROWS = 4000
DECISION = Decision(false_alarm_cost=1.0, missed_event_cost=3.0)


@pytest.fixture
def gate() -> Gate:
    """The checkout's gate."""
    return load_params().gate.model_copy(update={"resamples": 200})


def predictions(seed: int = 0, noise: float = 0.0, rows: int = ROWS) -> Predictions:
    """A model that knows the score and, with noise, another that knows it less well."""
    random = np.random.default_rng(seed)
    score = random.normal(size=rows)
    target = (random.random(rows) < 1 / (1 + np.exp(-2 * score))).astype(np.int8)
    blurred = score + noise * np.random.default_rng(seed + 1).normal(size=rows)
    frame = pd.DataFrame(
        {
            "row_id": np.arange(rows),
            "kind": np.where(np.arange(rows) % 4 == 0, "few", "many"),
            TARGET: target,
            "probability": (1 / (1 + np.exp(-2 * blurred))).astype(np.float32),
        }
    )
    return Predictions(frame, 0.25, ("row_id",))


def compared(base: Predictions, head: Predictions, gate: Gate) -> list[Comparison]:
    both, unpaired = paired(base, head)
    assert unpaired == 0
    return compare_metrics(both, base.threshold, head.threshold, DECISION, gate)


def class_predictions(noise: float = 0.0, classes: tuple[str, ...] = ("a", "b", "c")) -> Predictions:
    """A model that knows the margins of three classes, or with noise knows them less well."""
    random = np.random.default_rng(0)
    margins = 2 * random.normal(size=(ROWS, 3))
    target = (margins + random.gumbel(size=margins.shape)).argmax(axis=1)
    blurred = margins + noise * random.normal(size=margins.shape)
    shares = np.exp(blurred) / np.exp(blurred).sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"row_id": np.arange(ROWS), "kind": "all", TARGET: target.astype(np.int8)})
    frame["probability"] = list(shares.astype(np.float32))
    return Predictions(frame, None, ("row_id",), classes=classes)


def test_a_worse_model_of_classes_regresses_in_every_metric_and_slice(gate: Gate) -> None:
    limits = {name: Tolerance(**limit) for name, limit in GATE["multiclass"].items()}
    gate = gate.model_copy(update={"metrics": limits, "slices": Tolerance(absolute=0.0, relative=0.1)})
    good, bad = class_predictions(), class_predictions(noise=2.0)
    assert [metric.regressed for metric in compared(good, bad, gate)] == [True] * 4
    assert not any(metric.regressed for metric in compared(bad, good, gate) + compared(good, good, gate))
    both, _ = paired(good, bad)
    assert [one.regressed for one in compare_slices(both, ["kind"], gate, "log_loss")] == [True]
    with pytest.raises(OntimeError, match="base and head answer another question"):
        paired(good, class_predictions(classes=("a", "b", "d")))
    cost = gate.model_copy(update={"metrics": {"cost_per_1000": Tolerance(absolute=0.0, relative=0.0)}})
    with pytest.raises(OntimeError, match="cost_per_1000: needs a threshold; without one: log_loss, "):
        compared(good, bad, cost)


def test_a_model_is_not_worse_than_itself(gate: Gate) -> None:
    same = predictions()
    for metric in compared(same, same, gate):
        assert (metric.low, metric.high) == (0, 0)
        assert metric.base == metric.head
        assert not metric.regressed


def test_a_worse_model_regresses_in_every_metric_and_a_better_one_in_none(gate: Gate) -> None:
    good, bad = predictions(), predictions(noise=1.0)
    assert [metric.regressed for metric in compared(good, bad, gate)] == [True] * len(gate.metrics)
    assert not any(metric.regressed for metric in compared(bad, good, gate))
    assert all(metric.high < 0 for metric in compared(bad, good, gate))


@pytest.mark.parametrize(
    ("head", "low", "regressed"),
    [(0.690, 0.005, True), (0.690, -0.001, False), (0.697, 0.001, False), (0.710, -0.015, False)],
    ids=["matters and is there", "may be chance", "does not matter", "better"],
)
def test_a_metric_regresses_that_is_worse_by_more_than_is_allowed_and_not_by_chance(
    head: float, low: float, regressed: bool
) -> None:
    assert Comparison("roc_auc", 0.7, head, low, 0.02, allowed=0.004).regressed is regressed
    # the same worsening of a metric of which less is better
    assert Comparison("log_loss", 0.7, 1.4 - head, low, 0.02, allowed=0.004).regressed is regressed


def test_chance_alone_does_not_regress(gate: Gate) -> None:
    """Two models that differ by independent noise of the same size are equally good."""
    score = predictions()
    random = np.random.default_rng(5)
    failed = 0
    for _ in range(20):
        first, second = (
            replace(score, rows=score.rows.assign(probability=_blurred(score.rows["probability"], random)))
            for _ in range(2)
        )
        failed += any(metric.regressed for metric in compared(first, second, gate))
    assert failed == 0


def _blurred(probability: Any, random: np.random.Generator) -> Any:
    logit = np.log(probability / (1 - probability)) + 0.2 * random.normal(size=len(probability))
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc", "log_loss", "brier_score", "cost_per_1000"])
def test_a_metric_of_rows_that_count_several_times_is_that_of_the_rows_repeated(name: str) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500).astype(np.int8)
    # many equal ones, and both ends, where a logarithm would be infinite
    probability = random.integers(0, 21, 500) / 20
    rows = random.integers(0, 500, 500)
    expected = {
        "roc_auc": lambda *of: metrics.roc_auc_score(*of),
        "pr_auc": lambda *of: metrics.average_precision_score(*of),
        "log_loss": lambda *of: metrics.log_loss(*of),
        "brier_score": lambda *of: metrics.brier_score_loss(*of),
        "cost_per_1000": lambda labels, of: cost_per_1000(labels, of >= 0.3, DECISION),
    }[name](labels[rows], probability[rows])
    found = _score(name, labels, probability, 0.3, DECISION)(np.bincount(rows, minlength=500))
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_resample_of_one_class_has_no_roc_auc() -> None:
    score = _score("roc_auc", np.array([0, 1], dtype=np.int8), np.array([0.1, 0.9]), 0.5, DECISION)
    assert np.isnan(score(np.array([2, 0])))


def test_what_is_allowed_is_the_larger_of_absolute_and_relative(gate: Gate) -> None:
    found = {metric.name: metric for metric in compared(predictions(), predictions(noise=1.0), gate)}
    for name, tolerance in gate.metrics.items():
        assert found[name].allowed == max(tolerance.absolute, tolerance.relative * found[name].base)


def test_rows_are_paired_by_their_key_in_any_order(gate: Gate) -> None:
    base, head = predictions(), predictions(noise=0.3)
    shuffled = replace(head, rows=head.rows.sample(frac=1, random_state=1, ignore_index=True))
    first, second = compared(base, head, gate), compared(base, shuffled, gate)
    for one, other in zip(first, second, strict=True):
        assert (one.base, one.head) == pytest.approx((other.base, other.head))


def test_rows_of_one_side_alone_are_counted_and_not_judged() -> None:
    base = predictions()
    head = replace(base, rows=base.rows.iloc[100:])
    both, unpaired = paired(base, head)
    assert (len(both), unpaired) == (ROWS - 100, 100)


def test_rows_without_a_key_are_paired_by_their_place() -> None:
    frame = predictions().rows.drop(columns="row_id")
    both, unpaired = paired(Predictions(frame, 0.5, ()), Predictions(frame, 0.5, ()))
    assert (len(both), unpaired) == (ROWS, 0)


def test_a_slice_may_be_part_of_the_key() -> None:
    """As the carrier of a flight, whose number alone is not unique."""
    base = predictions()
    number = np.arange(ROWS) // 2
    rows = base.rows.assign(row_id=number, kind=np.where(np.arange(ROWS) % 2 == 0, "few", "many"))
    one = Predictions(rows, 0.25, ("row_id", "kind"))
    both, unpaired = paired(one, replace(one, rows=rows.sample(frac=1, random_state=1)))
    assert (len(both), unpaired) == (ROWS, 0)
    assert (both["base"] == both["head"]).all()


@pytest.mark.attack("own-gate")
@pytest.mark.parametrize("dropped", [False, True])
def test_no_row_leaves_the_slice_that_it_has_in_the_base(dropped: bool) -> None:
    base = predictions()
    rows = base.rows.drop(columns="kind") if dropped else base.rows.assign(kind="one")
    both, _ = paired(base, replace(base, rows=rows))
    assert both["kind"].tolist() == base.rows["kind"].tolist()


def test_another_key_is_told() -> None:
    base = predictions()
    with pytest.raises(OntimeError, match=r"^gate: the row key changed from row_id to none; [^\n]+$"):
        paired(base, replace(base, key=()))


def test_nothing_in_common_is_told() -> None:
    base = predictions()
    head = replace(base, rows=base.rows.assign(row_id=base.rows["row_id"] + ROWS))
    with pytest.raises(OntimeError, match="no validation row in common"):
        paired(base, head)


def test_one_slice_that_is_worse_is_found_and_small_slices_are_left_out(gate: Gate) -> None:
    base = predictions()
    few = base.rows["kind"] == "few"
    spoiled = base.rows["probability"].where(~few, base.rows["probability"].sample(frac=1, random_state=2).to_numpy())
    both, _ = paired(base, replace(base, rows=base.rows.assign(probability=spoiled)))
    found = {metric.name: metric for metric in compare_slices(both, ["kind"], gate)}
    assert found["kind=few"].regressed
    assert not found["kind=many"].regressed
    large = gate.model_copy(update={"slice_rows": ROWS // 2})
    assert [metric.name for metric in compare_slices(both, ["kind"], large)] == ["kind=many"]


def test_whole_weights_of_the_base_are_repeated_rows(gate: Gate) -> None:
    base, head = predictions(rows=400), predictions(noise=0.5, rows=400)
    times = np.random.default_rng(5).integers(0, 4, 400)
    weighted = replace(base, rows=base.rows.assign(w=times.astype(float)), weight="w")
    both, _ = paired(weighted, replace(head, rows=head.rows.assign(w=1.0), weight="w"))
    assert both["w"].tolist() == times.tolist()
    found = compare_metrics(both, 0.25, 0.25, DECISION, gate, weight="w")
    repeated = both.loc[np.repeat(both.index, times)].reset_index(drop=True)
    for one, other in zip(found, compare_metrics(repeated, 0.25, 0.25, DECISION, gate), strict=True):
        assert (one.base, one.head) == pytest.approx((other.base, other.head))
        # whole rows are drawn with all that they count, so there are fewer of them, and the interval is wider
        assert one.high - one.low > other.high - other.low
    (few, many) = compare_slices(both, ["kind"], gate.model_copy(update={"slice_rows": 50}), weight="w")
    of_few = repeated[repeated["kind"] == "few"]
    assert few.base == pytest.approx(metrics.roc_auc_score(of_few[TARGET], of_few["base"]))
    assert many.name == "kind=many"
