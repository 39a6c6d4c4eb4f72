"""The threshold against every other one, and metrics against computations by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from ontime.model_evaluation.binary_judge import BinaryJudge
from ontime.model_evaluation.metrics import (
    CURVE_POINTS,
    SLICE_ROWS,
    best_threshold,
    calibration_curve,
    cost_per_1000,
    curves,
    expected_calibration_error,
    slice_figures,
    summarize,
)
from ontime.model_evaluation.settings import Decision
from ontime.model_evaluation.slices import slice_table

Rows = tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]


def decision(false_alarm: float = 1.0, missed: float = 3.0) -> Decision:
    return Decision(false_alarm_cost=false_alarm, missed_event_cost=missed)


def rows(count: int, levels: int | None, seed: int) -> Rows:
    """Random labels and probabilities that follow them; `levels` different values, or all different."""
    random = np.random.default_rng(seed)
    probability = random.random(count)
    if levels:
        probability = np.round(probability * levels) / levels
    labels = (random.random(count) < 0.2 + 0.6 * probability).astype(np.int8)
    return labels, probability


def by_slice(rows: pd.DataFrame, columns: list[str], labels: Any, probability: Any) -> pd.DataFrame:
    """The table of slices at a threshold of a half."""

    def figures(labels: Any, probability: Any, weights: Any) -> dict[str, Any]:
        return slice_figures(labels, probability, 0.5, decision(), weights)

    return slice_table(rows, columns, labels, probability, None, BinaryJudge.slice_columns, figures)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [None, 1, 4, 20])
@pytest.mark.parametrize("costs", [(1, 1), (1, 3), (10, 1), (0.1, 50), (50, 0.1)])
def test_no_threshold_is_cheaper_than_the_best(seed: int, levels: int | None, costs: tuple[float, float]) -> None:
    labels, probability = rows(60, levels, seed)
    chosen = decision(*costs)
    candidates = [*np.unique(probability), np.nextafter(probability.max(), np.inf)]
    cost = {value: cost_per_1000(labels, probability >= value, chosen) for value in candidates}
    threshold = best_threshold(labels, probability, chosen)
    assert cost[threshold] == pytest.approx(min(cost.values()))
    cheapest = [value for value in candidates if cost[value] == pytest.approx(min(cost.values()), abs=1e-9)]
    assert threshold == max(cheapest)


def test_the_order_of_rows_changes_no_threshold() -> None:
    labels, probability = rows(200, 10, 0)
    order = np.random.default_rng(1).permutation(200)
    assert best_threshold(labels[order], probability[order], decision()) == best_threshold(
        labels, probability, decision()
    )


def test_without_events_nothing_is_announced_and_with_events_alone_everything() -> None:
    probability = np.array([0.2, 0.9, 1.0])
    assert best_threshold(np.zeros(3, np.int8), probability, decision()) > 1.0
    assert best_threshold(np.ones(3, np.int8), probability, decision()) == 0.2


def test_cost_counts_both_kinds_of_mistake_per_thousand_rows() -> None:
    labels, alarm = np.array([0, 0, 0, 1, 1], np.int8), np.array([True, True, False, True, False])
    assert cost_per_1000(labels, alarm, decision(2.0, 7.0)) == 1000 * (2 * 2.0 + 1 * 7.0) / 5


def test_calibration_error_is_the_mean_distance_over_equally_filled_bins() -> None:
    probability = np.repeat(np.arange(10) / 10, 2)
    labels = np.array([0, 1] * 10, np.int8)
    distances = [abs(level / 10 - 0.5) for level in range(10)]
    assert expected_calibration_error(labels, probability) == pytest.approx(np.mean(distances))
    curve = calibration_curve(labels, probability)
    assert curve["rows"].tolist() == [2] * 10
    assert curve["probability"].tolist() == pytest.approx([level / 10 for level in range(10)])
    assert curve["share_of_events"].tolist() == [0.5] * 10


def test_bins_of_unequal_size_weigh_by_their_rows() -> None:
    probability, labels = np.linspace(0, 1, 13), np.ones(13, np.int8)
    parts = [slice(0, 2), slice(2, 4), slice(4, 6), *(slice(place, place + 1) for place in range(6, 13))]
    expected = sum(len(probability[part]) * (1 - probability[part].mean()) for part in parts) / 13
    assert expected_calibration_error(labels, probability) == pytest.approx(expected)


def test_fewer_rows_than_bins_have_a_bin_each() -> None:
    assert calibration_curve(np.array([0, 1], np.int8), np.array([0.1, 0.9]))["rows"].tolist() == [1, 1]
    assert expected_calibration_error(np.array([0, 1], np.int8), np.array([0.1, 0.8])) == pytest.approx(0.15)


def test_a_summary_has_the_values_of_a_hand_computation() -> None:
    labels, probability = np.array([1, 0, 1, 0], np.int8), np.array([0.9, 0.6, 0.4, 0.1])
    summary = summarize(labels, probability, 0.5, decision(1.0, 3.0))
    assert summary == {
        "roc_auc": 0.75,
        "pr_auc": round((1 + 2 / 3) / 2, 6),
        "log_loss": round(float(-np.log([0.9, 0.4, 0.4, 0.9]).mean()), 6),
        "brier_score": round((0.01 + 0.36 + 0.36 + 0.01) / 4, 6),
        "expected_calibration_error": round((0.1 + 0.6 + 0.6 + 0.1) / 4, 6),
        "cost_per_1000": 1000 * (1 + 3) / 4,
        "precision": 0.5,
        "recall": 0.5,
        "share_of_events": 0.5,
        "rows": 4,
    }


def test_a_probability_at_the_threshold_is_announced() -> None:
    labels, probability = np.array([1, 0], np.int8), np.array([0.5, 0.4])
    assert summarize(labels, probability, 0.5, decision())["recall"] == 1.0
    assert summarize(labels, probability, np.nextafter(0.5, 1), decision())["recall"] == 0.0


def test_nothing_announced_is_no_division_by_zero() -> None:
    summary = summarize(np.array([1, 0], np.int8), np.array([0.5, 0.4]), 0.9, decision())
    assert (summary["precision"], summary["recall"]) == (0.0, 0.0)


def test_each_value_of_each_column_is_a_slice_with_most_rows_first() -> None:
    times = SLICE_ROWS // 3 + 1
    frame = pd.concat([pd.DataFrame({"kind": ["a", "b", "b", None, "b"], "size": [1, 1, 2, 1, 1]})] * times)
    labels = np.array([1, 0, 1, 1, 0] * times, np.int8)
    probability = np.array([0.9, 0.2, 0.7, 0.1, 0.8] * times)
    table = by_slice(frame, ["kind", "size"], labels, probability)
    assert table["slice"].tolist() == ["kind=b", "kind=(missing)", "kind=a", "size=1", "size=2"]
    assert table["rows"].tolist() == [count * times for count in (3, 1, 1, 4, 1)]
    assert table["roc_auc"].isna().tolist() == [False, True, True, False, True]
    first = table.iloc[0]
    assert first["roc_auc"] == 0.5
    assert first["share_of_events"] == round(1 / 3, 6)
    assert first["mean_probability"] == round((0.2 + 0.7 + 0.8) / 3, 6)
    assert first["cost_per_1000"] == round(1000 / 3, 6)
    assert table["cost_per_1000"][1] == 3000


def test_a_slice_with_few_rows_has_no_auc() -> None:
    labels = np.array([0, 1] * (SLICE_ROWS // 2), np.int8)
    rows = pd.DataFrame({"kind": ["a"] * SLICE_ROWS})
    aucs = [
        by_slice(rows[:count], ["kind"], labels[:count], labels[:count] / 2)["roc_auc"][0]
        for count in (SLICE_ROWS, SLICE_ROWS - 1)
    ]
    assert aucs[0] == 1.0
    assert pd.isna(aucs[1])


def test_no_slices_make_an_empty_table_with_its_header() -> None:
    table = by_slice(pd.DataFrame(index=range(2)), [], np.array([0, 1], np.int8), np.array([0.1, 0.2]))
    assert len(table) == 0
    assert "roc_auc" in table


def test_curves_start_and_end_where_they_must_and_are_short() -> None:
    found = curves(*rows(5000, None, 3))
    assert list(found) == ["roc", "precision_recall", "calibration"]
    roc, pr = found["roc"], found["precision_recall"]
    assert roc.iloc[0].tolist()[0] == 0.0
    assert roc.iloc[-1].tolist() == [1.0, 1.0]
    assert pr["recall"].iloc[-1] == 1.0
    for curve in (roc, pr):
        assert 50 < len(curve) <= CURVE_POINTS
        assert curve.iloc[:, 0].is_monotonic_increasing
    assert roc["true_positive_rate"].is_monotonic_increasing


def test_curves_of_tied_probabilities_keep_their_corners() -> None:
    found = curves(np.array([0, 1, 0, 1], np.int8), np.array([0.2, 0.2, 0.2, 0.9]))
    assert found["roc"].iloc[-1].tolist() == [1.0, 1.0]
    assert found["precision_recall"]["recall"].iloc[-1] == 1.0
