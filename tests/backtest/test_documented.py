"""What the documents and params.yaml say of policies is what `ontime backtest` found."""

from typing import Any

import pytest

from ontime.backtest.tables import table
from ontime.common.files import read_json
from ontime.parameters import load_params
from tests.checkouts import TOP
from tests.live import live, predicts_flights

FOUND = TOP / "docs" / "backtest.json"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    content: dict[str, Any] = read_json(FOUND)
    return content


def test_the_tables_of_the_page_are_those_of_the_command(found: dict[str, Any]) -> None:
    page = (TOP / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for period in found["replays"][0]["periods"]:
        assert "\n".join(table(period["rows"])) in page


@pytest.mark.skipif(not predicts_flights(), reason="the figures are those of flights")
def test_the_parameters_are_the_best_policy(found: dict[str, Any]) -> None:
    best, params = found["best"], load_params(live("params.yaml"))
    assert params.train.refit == best["refit"]
    assert params.retraining.every_days == best["every_days"]
