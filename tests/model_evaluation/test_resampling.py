"""Resamples of rows and groups, and metrics of resampled rows."""

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.model_evaluation.metrics import summarize
from ontime.model_evaluation.resampling import resamples, score_of
from ontime.model_evaluation.settings import Decision

METRICS = ("roc_auc", "pr_auc", "log_loss", "brier_score")


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_of_resampled_rows_is_that_of_the_rows_repeated(name: str) -> None:
    random = np.random.default_rng(0)
    labels, probability = (random.random(60) < 0.4).astype(np.int8), random.random(60).round(1)
    decision = Decision(false_alarm_cost=1.0, missed_event_cost=1.0)
    for times in (np.ones(60, dtype=np.int64), *resamples(np.arange(60), 3, 0)):
        repeated = summarize(np.repeat(labels, times), np.repeat(probability, times), 0.5, decision)
        assert score_of(name, labels, probability)(times) == pytest.approx(repeated[name], abs=1e-6)


@pytest.mark.parametrize("name", ["roc_auc_ovr", "accuracy", "f1_macro"])
def test_a_metric_of_classes_is_refused_of_events_in_one_line(name: str) -> None:
    with pytest.raises(OntimeError, match=rf"^params\.yaml: {name}: a metric of classes, and the target has none$"):
        score_of(name, np.array([0, 1], dtype=np.int8), np.array([0.2, 0.7]))


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc"])
def test_rows_of_one_class_have_no_order(name: str) -> None:
    score = score_of(name, np.array([0, 1, 1], dtype=np.int8), np.array([0.2, 0.5, 0.7]))
    assert [np.isnan(score(np.array(times))) for times in ([2, 0, 0], [0, 1, 2], [1, 1, 1])] == [True, True, False]


def test_a_group_is_drawn_whole_and_the_seed_alone_decides() -> None:
    group = np.array([0, 0, 0, 1, 2, 2])
    drawn = list(resamples(group, 50, 1))
    assert all(len(set(times[group == value])) == 1 for times in drawn for value in range(3))
    assert all(sum(times[np.unique(group, return_index=True)[1]]) == 3 for times in drawn)
    assert np.array_equal(drawn, list(resamples(group, 50, 1)))
    assert not np.array_equal(drawn, list(resamples(group, 50, 2)))
