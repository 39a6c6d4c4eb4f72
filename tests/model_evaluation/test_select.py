"""Who is champion, and when nobody is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_evaluation.select import select
from ontime.model_training.families import FAMILIES
from ontime.tasks.binary import Binary

BASELINES = {"base_rate": {"roc_auc": 0.5, "log_loss": 0.7}, "group_rate": {"roc_auc": 0.6, "log_loss": 0.65}}
RESAMPLES = 2000


def choose(runs: dict[str, float], metric: str = "roc_auc", error: float = 0.0) -> dict[str, Any]:
    """The selection among runs with these values, each of which has this standard error of its own."""
    random = np.random.default_rng(0)
    values = runs | {name: summary[metric] for name, summary in BASELINES.items()}
    resampled = {name: value + error * random.normal(size=RESAMPLES) for name, value in values.items()}
    return select(
        {name: {metric: value} for name, value in runs.items()}, BASELINES, metric, resampled, Binary().rounded
    )


def test_the_best_validation_metric_wins_and_all_are_told_best_first() -> None:
    assert choose({"a": 0.7, "b": 0.75, "c": 0.61}) == {
        "champion": "b",
        "metric": "roc_auc",
        "value": 0.75,
        "lead": 0.05,
        "candidates": {"b": 0.75, "a": 0.7, "c": 0.61},
        "baselines": {"base_rate": 0.5, "group_rate": 0.6},
        "leads_over_baselines": {"base_rate": [0.25, 0.25], "group_rate": [0.15, 0.15]},
        "as_good_as_the_best": ["b"],
    }


def test_of_losses_the_least_wins() -> None:
    found = choose({"a": 0.6, "b": 0.5}, "log_loss")
    assert (found["champion"], found["lead"]) == ("b", 0.1)
    assert list(found["candidates"]) == ["b", "a"]
    assert found["leads_over_baselines"]["group_rate"] == [0.15, 0.15]


@pytest.mark.parametrize("names", [("b", "a"), ("a", "b")])
def test_of_equal_runs_the_simplest_wins(names: tuple[str, str]) -> None:
    assert choose(dict.fromkeys(names, 0.7))["champion"] == names[0]


def test_of_runs_within_one_standard_error_of_the_best_the_simplest_wins() -> None:
    # the difference of two independent values has 1.41 times the error of one
    for error, champion, lead in ((0.01, "a", -0.013), (0.008, "b", 0.013)):
        found = choose({"a": 0.8, "b": 0.813, "c": 0.75}, error=error)
        assert (found["champion"], found["lead"]) == (champion, lead)
        assert list(found["candidates"]) == ["b", "a", "c"]
        assert set(found["as_good_as_the_best"]) == {"b", champion}


def test_one_run_alone_has_no_lead() -> None:
    assert choose({"a": 0.7})["lead"] == 0


@pytest.mark.parametrize(
    ("metric", "value"), [("roc_auc", 0.6), ("roc_auc", 0.59), ("log_loss", 0.65), ("log_loss", 0.66)]
)
def test_a_baseline_that_is_as_good_leaves_no_champion(metric: str, value: float) -> None:
    best = BASELINES["group_rate"][metric]
    with pytest.raises(OntimeError) as error:
        choose({"a": value}, metric)
    assert str(error.value) == (
        f"no champion: baseline group_rate has validation {metric} {best}, "
        f"the best run a {value}, which is no better; add rows or better features"
    )


def test_a_lead_that_may_be_chance_leaves_no_champion_and_more_runs_need_a_larger_one() -> None:
    error = 0.06 / 2.2 / 2**0.5
    assert choose({"a": 0.66}, error=error)["champion"] == "a"
    with pytest.raises(
        OntimeError, match=r"^no champion: .* run b 0\.66, which may be chance: better by 0\.06, give or"
    ):
        choose({"a": 0.5, "b": 0.66, "c": 0.5, "d": 0.5}, error=error)


def test_a_run_that_is_no_better_than_a_baseline_ties_with_none() -> None:
    random = np.random.default_rng(0)
    noise = 0.03 * random.normal(size=RESAMPLES)
    resampled = {
        "a": 0.64 + 0.03 * random.normal(size=RESAMPLES),
        "b": 0.66 + noise,
        **{name: summary["roc_auc"] + noise for name, summary in BASELINES.items()},
    }
    found = select({"a": {"roc_auc": 0.64}, "b": {"roc_auc": 0.66}}, BASELINES, "roc_auc", resampled, Binary().rounded)
    assert (found["champion"], found["as_good_as_the_best"]) == ("b", ["b"])


def test_the_graph_selects_by_validation_alone(fork: Path) -> None:
    selection = read_json(fork / "models" / "selection.json")
    runs = fork / "models" / "training_runs"
    values = {name: read_json(runs / name / "metrics" / "validation.json")["roc_auc"] for name in FAMILIES["binary"]}
    assert selection["candidates"] == values
    assert max(values, key=lambda name: values[name]) in selection["as_good_as_the_best"]
    assert selection["champion"] == next(
        name for name in FAMILIES["binary"] if name in selection["as_good_as_the_best"]
    )
