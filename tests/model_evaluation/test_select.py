"""Who is champion, and when nobody is."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_evaluation.select import select
from ontime.model_training.families import FAMILIES

BASELINES = {"base_rate": {"roc_auc": 0.5, "log_loss": 0.7}, "group_rate": {"roc_auc": 0.6, "log_loss": 0.65}}


def test_the_best_validation_metric_wins_and_all_are_told_best_first() -> None:
    runs = {"a": {"roc_auc": 0.7}, "b": {"roc_auc": 0.75}, "c": {"roc_auc": 0.61}}
    assert select(runs, BASELINES, "roc_auc") == {
        "champion": "b",
        "metric": "roc_auc",
        "value": 0.75,
        "lead": 0.05,
        "candidates": {"b": 0.75, "a": 0.7, "c": 0.61},
        "baselines": {"base_rate": 0.5, "group_rate": 0.6},
    }


def test_of_losses_the_least_wins() -> None:
    found = select({"a": {"log_loss": 0.6}, "b": {"log_loss": 0.5}}, BASELINES, "log_loss")
    assert (found["champion"], found["lead"]) == ("b", 0.1)
    assert list(found["candidates"]) == ["b", "a"]


def test_of_equal_runs_the_first_by_name_wins_in_whatever_order_they_come() -> None:
    for names in (("b", "a"), ("a", "b")):
        assert select({name: {"roc_auc": 0.7} for name in names}, BASELINES, "roc_auc")["champion"] == "a"


def test_one_run_alone_has_no_lead() -> None:
    assert select({"a": {"roc_auc": 0.7}}, BASELINES, "roc_auc")["lead"] == 0


@pytest.mark.parametrize(
    ("metric", "value"), [("roc_auc", 0.6), ("roc_auc", 0.59), ("log_loss", 0.65), ("log_loss", 0.66)]
)
def test_a_baseline_that_is_as_good_leaves_no_champion(metric: str, value: float) -> None:
    best = BASELINES["group_rate"][metric]
    with pytest.raises(OntimeError) as error:
        select({"a": {metric: value}}, BASELINES, metric)
    assert str(error.value) == (
        f"no champion: baseline group_rate has validation {metric} {best}, "
        f"the best run a {value}; improve features or parameters"
    )


def test_the_graph_selects_by_validation_alone(fork: Path) -> None:
    selection = read_json(fork / "models" / "selection.json")
    runs = fork / "models" / "training_runs"
    values = {name: read_json(runs / name / "metrics" / "validation.json")["roc_auc"] for name in FAMILIES["binary"]}
    assert selection["candidates"] == values
    assert selection["champion"] == max(values, key=lambda name: values[name])
