"""The gate's metrics of numbers, against scikit-learn's with weights."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ontime.common.errors import OntimeError
from ontime.model_evaluation.settings import Decision
from ontime.pull_request.gate import Gate, Predictions, _score, compare_metrics, compare_slices, paired

DECISION = Decision(false_alarm_cost=1.0, missed_event_cost=3.0)
NONE = {"absolute": 0.0, "relative": 0.0}
GATE = Gate.model_validate(
    {
        "metrics": {"rmse": {"absolute": 0.0, "relative": 0.01}, "mae": NONE, "r2": NONE},
        "slices": NONE,
        "slice_rows": 50,
        "confidence": 0.95,
        "resamples": 100,
        "seed": 0,
    }
)


def predictions(noise: float, seed: int) -> Predictions:
    """Rows whose predictions are as far off as `noise`."""
    random = np.random.default_rng(7)
    target = random.normal(100, 20, 400)
    rows = pd.DataFrame({"key": np.arange(400), "town": random.choice(["a", "b"], 400), "target": target})
    said = target + np.random.default_rng(seed).normal(0, noise, 400)
    return Predictions(rows.assign(prediction=said.astype(np.float32)), None, ("key",), "prediction")


def test_a_metric_counts_each_row_as_often_as_it_is_drawn() -> None:
    random = np.random.default_rng(0)
    target, outputs, times = random.normal(size=200), random.normal(size=200), random.integers(0, 4, 200)
    expected = {
        "rmse": metrics.root_mean_squared_error(target, outputs, sample_weight=times),
        "mae": metrics.mean_absolute_error(target, outputs, sample_weight=times),
        "r2": metrics.r2_score(target, outputs, sample_weight=times),
    }
    assert {name: _score(name, target, outputs, None, None)(times) for name in expected} == pytest.approx(expected)


def test_a_worse_model_regresses_in_every_metric_and_slice_and_an_equal_one_in_none() -> None:
    base, worse = predictions(5, 1), predictions(8, 2)
    for head, regressed in ((base, False), (worse, True)):
        both, unpaired = paired(base, head)
        assert unpaired == 0
        found = compare_metrics(both, None, None, DECISION, GATE)
        slices = compare_slices(both, ["town"], GATE, "rmse")
        assert [one.name for one in found] == ["rmse", "mae", "r2"]
        assert [one.regressed for one in [*found, *slices]] == [regressed] * 5


def test_a_metric_of_events_is_refused_for_numbers() -> None:
    both, _ = paired(predictions(5, 1), predictions(5, 1))
    gate = GATE.model_copy(update={"metrics": {"cost_per_1000": GATE.slices}})
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: gate\.metrics: cost_per_1000: needs a threshold; without one: rmse"
    ):
        compare_metrics(both, None, None, DECISION, gate)


def test_champions_of_two_tasks_are_not_compared() -> None:
    numbers = predictions(5, 1)
    events = Predictions(numbers.rows.rename(columns={"prediction": "probability"}), 0.5, ("key",))
    with pytest.raises(OntimeError, match=r"^gate: base and head answer another question"):
        paired(events, numbers)
