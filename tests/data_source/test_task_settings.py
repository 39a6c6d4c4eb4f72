"""The task that a target asks, and what is written for it: from one task to another and back changes nothing."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.data_source.question import classes_of, find_task
from ontime.data_source.task_settings import plots, set_task
from ontime.model_training.families import FAMILIES
from ontime.parameters import check_params
from ontime.repository.yaml_files import plain, yaml_for_people
from tests.live import PARAMS


def loaded() -> tuple[Any, Any]:
    yaml = yaml_for_people()
    return yaml.load(PARAMS), yaml.load(Path("dvc.yaml"))


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 1, None], "binary"),
        (["a", "b"], "binary"),
        (["a", "b", "c"], "multiclass"),
        ([3, 1, 2, None, 2], "multiclass"),
        ([True, False], "binary"),
        ([0.5, 1.5, 2.5], "regression"),
        (list(range(100)), "regression"),
    ],
)
def test_a_target_of_many_numbers_is_a_regression(values: list[Any], task: str) -> None:
    assert find_task(pd.Series(values, name="y"), None, None) == task


def test_few_whole_numbers_are_classes_unless_a_person_says_otherwise() -> None:
    values = pd.Series([1, 2, 10, 10], name="y")
    assert find_task(values, None, None) == "multiclass"
    assert classes_of(values) == [1, 2, 10]
    assert find_task(values, "regression", None) == "regression"
    assert find_task(values, None, "3") == "binary"


@pytest.mark.parametrize(
    ("values", "task", "positive", "reason"),
    [
        ([str(n) for n in range(51)], None, None, "has 51 values; classes are 3 to 50 of them: keep the frequent ones"),
        (["a", "b"], "multiclass", None, "has 2 values; classes are 3 to 50 of them: it is an event"),
        ([0.5, 1.5, 2.5], "multiclass", None, "has numbers with decimals, so it cannot be classes"),
        (["a", "b", "c"], "regression", None, "has values that are not numbers"),
        (["a", "b", "c"], "multiclass", "a", "--positive: belongs to an event; leave it out with --task multiclass"),
    ],
)
def test_what_cannot_be_classes_is_one_line(
    values: list[Any], task: str | None, positive: str | None, reason: str
) -> None:
    with pytest.raises(OntimeError, match=reason) as error:
        find_task(pd.Series(values, name="y"), task, positive)
    assert "\n" not in str(error.value)


def test_classes_and_back_are_the_same_graph_and_the_same_parameters() -> None:
    params, graph = loaded()
    before = plain(params), plain(graph)
    for task in ("multiclass", "regression", "multiclass"):
        set_task(params, graph, task)
        assert next(iter(plain(graph)["stages"]["train"]["foreach"])).startswith(
            "linear" if task == "regression" else "logistic"
        )
    assert "class_shares" in str(plain(graph)["stages"]["baselines"]["metrics"])
    assert check_params(plain(params), "params.yaml").select.metric == "log_loss"
    set_task(params, graph, "binary")
    assert (plain(params), plain(graph)) == before


def test_a_regression_and_back_is_the_same_graph_and_the_same_parameters() -> None:
    params, graph = loaded()
    before = plain(params), plain(graph)
    set_task(params, graph, "binary")
    assert (plain(params), plain(graph)) == before
    set_task(params, graph, "regression")
    changed = plain(graph)
    assert next(iter(changed["stages"]["train"]["foreach"])) == "linear_regression"
    assert "logistic" not in str(changed)
    modules = set(re.findall(r"src/ontime/[\w/]+\.py", str(changed)))
    assert [path for path in modules if not Path(path).is_file()] == []
    assert "rate" not in str(changed["stages"]["baselines"]["metrics"])
    assert check_params(plain(params), "params.yaml").select.metric == "rmse"
    set_task(params, graph, "binary")
    assert (plain(params), plain(graph)) == before


@pytest.mark.parametrize(("kind", "reason"), [({"kind": "ranking"}, "found 'ranking'"), ({}, "missing")])
def test_a_task_that_is_not_known_is_one_line(kind: dict[str, str], reason: str) -> None:
    params, graph = loaded()
    params["task"] = kind
    with pytest.raises(OntimeError, match=rf"^params\.yaml: task\.kind: .*{reason}"):
        set_task(params, graph, "regression")


def test_the_plots_of_the_graph_are_those_that_init_writes() -> None:
    params, graph = loaded()
    task = plain(params)["task"]["kind"]
    assert plain(graph)["plots"] == plots(task, FAMILIES[task])


def test_comments_and_lines_of_the_graph_stay(tmp_path: Path) -> None:
    params, graph = loaded()
    yaml_for_people().dump(graph, tmp_path / "before.yaml")
    before = (tmp_path / "before.yaml").read_text().splitlines()
    set_task(params, graph, "regression")
    yaml_for_people().dump(graph, tmp_path / "after.yaml")
    after = (tmp_path / "after.yaml").read_text().splitlines()
    end = before.index("plots:")
    assert [line.strip() == "" for line in before[:end]] == [line.strip() == "" for line in after[:end]]
