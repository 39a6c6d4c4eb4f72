"""Rows predicted by models of earlier rows: which rows, by which models, and what is written."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.backtest.forward import blocks, forward
from ontime.common import paths
from ontime.common.files import read_json, read_parquet, sha256, write_json
from ontime.common.layout import TARGET, Layout
from ontime.model_training.logistic_regression import LogisticRegressionParameters
from ontime.model_training.recipe import Recipe, champion_recipe
from ontime.tasks.binary import Binary
from tests.commands import run_command

LAYOUT = Layout(["parcel"], "sent", ["weight"], ["depot"])
RECIPE = Recipe("logistic_regression", LogisticRegressionParameters(C=0.1, max_iter=50), 0, 1, Binary())


@pytest.fixture
def rows() -> pd.DataFrame:
    """Twelve days of rows in disorder; one has no time."""
    random = np.random.default_rng(0)
    weight = random.normal(size=600)
    sent = pd.Series(pd.date_range("2024-01-01T12:00Z", periods=600, freq="27min"))
    frame = pd.DataFrame(
        {
            "parcel": np.arange(600),
            "sent": sent.where(np.arange(600) != 300),
            "weight": weight,
            "depot": random.choice(["north", "south"], 600),
            TARGET: pd.Series(random.random(600) < 1 / (1 + np.exp(-weight))).astype("Int8"),
        }
    )
    return frame.sample(frac=1, random_state=1, ignore_index=True)


def test_blocks_have_equally_many_whole_days(rows: pd.DataFrame) -> None:
    block = blocks(rows, "sent", 5)
    timed = rows.assign(block=block)[rows["sent"].notna()]
    days = timed.groupby("block")["sent"].agg(lambda times: times.dt.date.nunique())
    assert days.tolist() == [3, 3, 2, 2, 2]
    assert timed.groupby(timed["sent"].dt.date)["block"].nunique().max() == 1
    assert timed.sort_values("sent")["block"].is_monotonic_increasing
    assert block[rows["sent"].isna()].tolist() == [-1]
    assert (blocks(rows, None, 5) == -1).all()


def test_more_blocks_than_days_leave_some_without_rows(rows: pd.DataFrame) -> None:
    assert set(blocks(rows, "sent", 40)) == {-1, *range(12)}
    assert len(forward(rows, LAYOUT, RECIPE, 39, 1)) == 599 - (blocks(rows, "sent", 40) == 0).sum()


def test_no_later_row_changes_what_is_predicted(rows: pd.DataFrame) -> None:
    found = forward(rows, LAYOUT, RECIPE, 4, 1)
    cut = rows["sent"].max() - pd.Timedelta(days=1)
    changed = rows.assign(
        **{TARGET: rows[TARGET].mask(rows["sent"] >= cut, 1 - rows[TARGET])},
        depot=rows["depot"].mask(rows["sent"] >= cut, "west"),
        weight=rows["weight"].mask(rows["sent"] >= cut, 100.0),
    )
    again = forward(changed, LAYOUT, RECIPE, 4, 1)
    before = found["sent"] < cut
    assert before.any()
    pd.testing.assert_series_equal(found["probability"][before], again["probability"][before])
    assert (found["probability"][~before] != again["probability"][~before]).all()


def test_earlier_rows_of_one_class_predict_nothing(rows: pd.DataFrame) -> None:
    block = blocks(rows, "sent", 5)
    same = rows.assign(**{TARGET: rows[TARGET].mask(block <= 1, 0)})
    assert set(blocks(forward(same, LAYOUT, RECIPE, 4, 1), "sent", 3)) == {0, 1, 2}
    assert len(forward(same, LAYOUT, RECIPE, 4, 1)) == (block >= 3).sum()


def test_the_stage_predicts_rows_after_those_it_was_fitted_on(fork: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fork)
    found = read_parquet(fork / "models" / "forward" / "predictions.parquet")
    assert list(found) == ["parcel", "sent", "depot", "service", TARGET, "probability"]
    rows = pd.concat([read_parquet(Path(f"data/processed/{part}.parquet")) for part in ("train", "validation")])
    test = read_parquet(Path("data/processed/test.parquet"), columns=["parcel"])
    assert not set(found["parcel"]) & set(test["parcel"])
    assert set(found["parcel"]) == set(rows["parcel"][blocks(rows, "sent", 5) > 0])
    assert found["parcel"].is_unique
    assert found["sent"].is_monotonic_increasing
    assert found["probability"].dtype == np.float32
    assert found["probability"].between(0, 1).all()


@pytest.fixture
def fork_copy(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is a copy of the fork, which the test may change."""
    for name in ("data/processed", "models"):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("fork_copy")
def test_a_second_run_writes_the_same_bytes() -> None:
    path = Path("models/forward/predictions.parquet")
    first = sha256(path)
    run_command("forward")
    assert sha256(path) == first


@pytest.mark.usefixtures("fork_copy")
def test_without_a_time_the_table_has_no_row() -> None:
    write_json(paths.FEATURE_LAYOUT, read_json(paths.FEATURE_LAYOUT) | {"time": None})
    run_command("forward")
    found = read_parquet(Path("models/forward/predictions.parquet"))
    assert list(found) == ["parcel", "depot", "service", TARGET, "probability"]
    assert found.empty


def test_the_recipe_is_the_champions(fork: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fork)
    recipe = champion_recipe()
    run = Path("models/training_runs") / recipe.family
    assert {"seed": recipe.seed, **recipe.parameters.model_dump()} == read_json(run / "config" / "parameters.json")
    assert recipe.steps == int((run / "metrics" / "history.csv").read_text().splitlines()[-1].split(",")[0])
