"""A metric over folds of drawn answers, and the champion that they choose."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet, write_json, write_parquet
from ontime.common.layout import TARGET
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.out_of_fold import OutOfFold, read_out_of_fold
from ontime.model_training.families import FAMILIES
from ontime.model_training.out_of_fold_file import fitted_for, path_of
from ontime.tasks.binary import Binary
from tests.commands import run_command

ROWS = 900
ONCE = np.ones(ROWS, dtype=np.int64)


def folded(fold: Any, **answers: Any) -> OutOfFold:
    random = np.random.default_rng(0)
    target = (random.random(ROWS) < 0.4).astype(np.int8)
    told = {name: 0.4 + one * (target - 0.4) + random.normal(0, 0.2, ROWS) for name, one in answers.items()}
    return OutOfFold(fold, target, {name: one.clip(0.01, 0.99) for name, one in told.items()}, np.arange(ROWS))


@pytest.mark.parametrize(("metric", "exact"), [("roc_auc", roc_auc_score), ("log_loss", log_loss)])
def test_a_value_is_the_mean_over_the_folds_by_their_rows(metric: str, exact: Any) -> None:
    fold = np.repeat([1, 2, 3], [100, 300, 500])
    found = folded(fold, a=0.3)
    values = [exact(found.target[fold == one], found.answers["a"][fold == one]) for one in (1, 2, 3)]
    assert found.by_fold(metric, "a") == pytest.approx(values)
    assert found.score(metric, "a")(ONCE) == pytest.approx(np.average(values, weights=[100, 300, 500]))


def test_a_fold_that_says_more_of_all_its_rows_is_no_worse_for_it() -> None:
    fold = np.arange(ROWS) % 5 + 1
    found = folded(fold, a=0.3)
    shifted = OutOfFold(fold, found.target, {"a": found.answers["a"] + fold}, found.place)
    assert shifted.score("roc_auc", "a")(ONCE) == pytest.approx(found.score("roc_auc", "a")(ONCE))
    assert roc_auc_score(found.target, shifted.answers["a"]) < 0.6 < found.score("roc_auc", "a")(ONCE)


def test_a_resample_leaves_out_the_folds_that_do_not_have_the_metric() -> None:
    fold = np.arange(ROWS) % 3 + 1
    found = folded(fold, a=0.3)
    score = found.score("roc_auc", "a")
    rest = [found.by_fold("roc_auc", "a")[one] for one in (1, 2)]
    assert score(ONCE * (fold != 1)) == pytest.approx(np.mean(rest))
    assert score(ONCE * ((fold != 1) | (found.target == 1))) == pytest.approx(np.mean(rest))
    assert np.isnan(score(ONCE * found.target))


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_row_of_weight_two_counts_in_its_fold_as_two_rows_and_one_of_weight_zero_as_none(metric: str) -> None:
    fold, weights = np.repeat([1, 2, 3], [100, 300, 500]), np.arange(ROWS) % 3
    once = folded(fold, a=0.3)
    found = OutOfFold(fold, once.target, once.answers, once.place, weights.astype(np.float64))
    rows = np.repeat(np.arange(ROWS), weights)
    told = OutOfFold(fold[rows], once.target[rows], {"a": once.answers["a"][rows]}, rows)
    assert found.by_fold(metric, "a") == pytest.approx(told.by_fold(metric, "a"))
    drawn = np.random.default_rng(1).integers(0, 3, ROWS)
    assert found.score(metric, "a")(drawn) == pytest.approx(told.score(metric, "a")(drawn[rows]))


def test_models_of_windows_are_fitted_on_earlier_rows_those_of_other_folds_on_all_others() -> None:
    assert fitted_for(2, np.array([0, 1, 2, 3])).tolist() == [True, True, False, False]
    assert fitted_for(2, np.array([1, 2, 3, 3])).tolist() == [True, False, True, True]


@pytest.fixture
def rows(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Training and validation rows of a copy of the fork, which is the current folder."""
    for name in ("data/processed", "models"):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return pd.concat([read_parquet(paths.split_rows(part)) for part in paths.FITTED_PARTS], ignore_index=True)


def draw(rows: pd.DataFrame, fold: Any, signals: dict[str, float]) -> dict[str, Any]:
    """Write answers that say so much of the target, and return them."""
    answers = {}
    for seed, (name, signal) in enumerate(signals.items()):
        noise = np.random.default_rng(seed).normal(0, 0.1, len(rows))
        told = np.clip(0.5 + signal * (rows[TARGET].to_numpy(dtype=np.float64) - 0.5) + noise, 0.01, 0.99)
        answers[name] = np.where(fold > 0, told, np.nan).astype(np.float32)
        write_parquet(rows[["parcel", TARGET]].assign(fold=fold, probability=answers[name]), path_of(name))
    return answers


@pytest.mark.parametrize("best", FAMILIES["binary"])
def test_drawn_answers_choose_the_champion_whatever_the_validation_rows_say(rows: pd.DataFrame, best: str) -> None:
    before = read_json(paths.SELECTION)
    fold = np.arange(len(rows)) % 4
    answers = draw(rows, fold, {name: 0.3 if name == best else 0.1 for name in FAMILIES["binary"]})
    run_command("select")
    found = read_json(paths.SELECTION)
    assert (found["champion"], found["folds"], found["rows"]) == (best, 3, (fold > 0).sum())
    assert found["as_good_as_the_best"] == [best]
    assert found["validation_values"] == before["candidates"]
    assert list(found["values_by_fold"]) == list(found["candidates"])
    for name, value in found["candidates"].items():
        by_fold = [roc_auc_score(rows[TARGET][fold == one], answers[name][fold == one]) for one in (1, 2, 3)]
        assert found["values_by_fold"][name] == pytest.approx(by_fold, abs=1e-6)
        assert value == pytest.approx(np.average(by_fold, weights=np.bincount(fold)[1:]), abs=1e-6)


def test_baselines_are_those_of_the_rows_that_the_models_were_fitted_on(rows: pd.DataFrame) -> None:
    fold = np.arange(len(rows)) % 4
    draw(rows, fold, dict.fromkeys(FAMILIES["binary"], 0.3))
    found = read_out_of_fold(FAMILIES["binary"], ["depot"], Binary())
    assert found is not None
    for number in (1, 2, 3):
        earlier = rows[fold < number]
        assert set(found.answers["base_rate"][found.fold == number]) == {earlier[TARGET].mean()}
        expected = past_rate(earlier, rows[fold == number], ["depot"])
        assert found.answers["group_rate"][found.fold == number].tolist() == expected.tolist()
    assert found.target.tolist() == rows[TARGET][fold > 0].tolist()


def test_rows_of_one_group_are_drawn_together(rows: pd.DataFrame) -> None:
    fold = np.arange(len(rows)) % 2 + 1
    draw(rows, fold, {name: 0.3 / place for place, name in enumerate(FAMILIES["binary"], start=1)})
    run_command("select")
    alone = read_json(paths.SELECTION)
    # each row eight times: as groups they say no more than once
    for part in paths.FITTED_PARTS:
        write_parquet(repeated(read_parquet(paths.split_rows(part))), paths.split_rows(part))
    for name in FAMILIES["binary"]:
        write_parquet(repeated(read_parquet(path_of(name))), path_of(name))
    write_json(paths.FEATURE_LAYOUT, read_json(paths.FEATURE_LAYOUT) | {"group": "parcel"})
    run_command("select")
    grouped = read_json(paths.SELECTION)
    write_json(paths.FEATURE_LAYOUT, read_json(paths.FEATURE_LAYOUT) | {"group": None})
    run_command("select")
    single = read_json(paths.SELECTION)
    width, of_groups, of_rows = (
        np.diff(one["leads_over_baselines"]["base_rate"])[0] for one in (alone, grouped, single)
    )
    assert of_groups == pytest.approx(width, rel=0.2)
    assert of_rows < width / 2


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[frame.index.repeat(8)].reset_index(drop=True)


def test_answers_that_may_be_chance_leave_no_champion_and_the_error_says_that_folds_chose(rows: pd.DataFrame) -> None:
    draw(rows, np.arange(len(rows)) % 4, dict.fromkeys(FAMILIES["binary"], 0.0))
    with pytest.raises(
        OntimeError, match=r"^no champion: baseline \w+ has cross-validated roc_auc 0\.\d+, the best run "
    ):
        run_command("select")
