"""The two answers that need no model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.common.layout import TARGET
from ontime.common.paths import BASELINES
from ontime.model_evaluation.baselines import PRIOR_ROWS, past_rate


@pytest.fixture
def train() -> pd.DataFrame:
    kinds: list[Any] = ["a"] * 60 + ["b"] * 20 + [None] * 20
    labels = [1] * 30 + [0] * 30 + [1] * 10 + [0] * 10 + [1] * 20
    places = ["x", "y"] * 50
    return pd.DataFrame({"kind": kinds, "place": places, TARGET: np.array(labels, dtype=np.int8)})


def test_without_a_group_every_row_gets_the_base_rate(train: pd.DataFrame) -> None:
    assert past_rate(train, train.head(3), []).tolist() == [0.6, 0.6, 0.6]


def test_a_group_gets_its_rate_drawn_to_the_base_rate(train: pd.DataFrame) -> None:
    rows = pd.DataFrame({"kind": ["b", "a", None, "new"]}, index=[9, 3, 3, 1])
    rate = past_rate(train, rows, ["kind"])
    prior = PRIOR_ROWS * 0.6
    assert rate.tolist() == pytest.approx([(10 + prior) / 40, (30 + prior) / 80, (20 + prior) / 40, 0.6])


def test_a_group_may_have_several_columns(train: pd.DataFrame) -> None:
    rows = pd.DataFrame({"place": ["x", "x"], "kind": [None, "new"]})
    in_group = train["kind"].isna() & train["place"].eq("x")
    events = train[TARGET][in_group].sum()
    expected = [(events + PRIOR_ROWS * 0.6) / (in_group.sum() + PRIOR_ROWS), 0.6]
    assert past_rate(train, rows, ["kind", "place"]).tolist() == pytest.approx(expected)


def test_a_group_with_many_events_does_not_overflow() -> None:
    train = pd.DataFrame({"kind": ["a"] * 1000, TARGET: np.ones(1000, dtype=np.int8)})
    assert past_rate(train, train.head(1), ["kind"]).tolist() == [1.0]


def test_both_baselines_are_judged_like_a_model(fork: Path) -> None:
    runs = fork / "models" / "training_runs"
    found = {name: read_json(runs / name / "metrics" / "test.json") for name in BASELINES}
    model = read_json(fork / "models" / "training_runs" / "random_forest" / "metrics" / "test.json")
    for summary in found.values():
        assert list(summary) == list(model)
        assert summary["rows"] == model["rows"]
    assert found["base_rate"]["roc_auc"] == 0.5
    assert found["group_rate"]["roc_auc"] > 0.55


def test_a_group_that_is_no_column_is_one_line(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(fork / "data")
    params = (fork / "params.yaml").read_text().replace("baseline_group: [depot]", "baseline_group: [depott]")
    (tmp_path / "params.yaml").write_text(params)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"^params\.yaml: evaluate\.baseline_group: no column depott among the feat"):
        commands.main(["baselines"], standalone_mode=False)
