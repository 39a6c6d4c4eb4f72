"""The past rate of a group, whatever its columns are called."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.layout import TARGET
from ontime.model_evaluation.group_rate import PRIOR_ROWS, past_rate


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


@pytest.mark.parametrize("name", ["size", "sum", "rate"])
def test_a_column_of_any_name_is_a_group(train: pd.DataFrame, name: str) -> None:
    renamed = train.rename(columns={"kind": name})
    assert past_rate(renamed, renamed, [name]).tolist() == past_rate(train, train, ["kind"]).tolist()
