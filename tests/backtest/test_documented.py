"""What the documents and params.yaml say of policies is what `ontime backtest` found."""

import re
from typing import Any

import pytest

from ontime.backtest.policies import Policy
from ontime.backtest.tables import table
from ontime.common.files import read_json
from ontime.parameters import load_params
from tests.checkouts import TOP

FOUND = TOP / "docs" / "backtest.json"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    content: dict[str, Any] = read_json(FOUND)
    return content


def test_the_tables_of_the_page_are_those_of_the_command(found: dict[str, Any]) -> None:
    page = (TOP / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for period in found["replays"][0]["periods"]:
        assert "\n".join(table(period["rows"])) in page


def test_the_parameters_are_the_best_policy_with_its_figure(found: dict[str, Any]) -> None:
    best, params = found["best"], load_params(TOP / "params.yaml")
    assert params.train.refit == best["refit"]
    assert params.retraining.every_days == best["every_days"]
    title = Policy(best["policy"], best["every_days"], best["refit"]).title
    (row,) = [one for one in found["replays"][0]["periods"][0]["rows"] if one["policy"] == title]
    text = (TOP / "params.yaml").read_text(encoding="utf-8")
    (comment,) = re.findall(r"log loss (\S+ \[\S+, \S+\])", text[text.index("\nretraining:") :])
    assert comment == f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def test_the_refit_of_the_model_that_is_never_replaced_is_in_params_yaml(found: dict[str, Any]) -> None:
    text = (TOP / "params.yaml").read_text(encoding="utf-8")
    said = re.findall(r"log loss (\S+ \[\S+, \S+\])", text[text.index("\ntrain:") : text.index("\ndecision:")])
    rows = [one["rows"] for one in found["replays"][0]["periods"]]
    never = [next(row for row in part if row["policy"] == "never, refitted") for part in rows]
    assert said == [f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" for row in never]
