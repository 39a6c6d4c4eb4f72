"""Folds predicted by models of other rows: whose, which steps, which bytes, and what is chosen by them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.backtest.cross_validate import cross_validate
from ontime.backtest.fitted_outputs import fitted_outputs
from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet, sha256, write_parquet
from ontime.common.layout import TARGET, Layout
from ontime.common.params import load_section
from ontime.data_processing.split import Split
from ontime.model_training.families import FAMILIES
from ontime.model_training.out_of_fold_file import fitted_for, path_of
from ontime.model_training.recipe import recipe_of
from ontime.repository.yaml_files import editing
from ontime.tasks.names import TaskName
from tests.commands import run_command
from tests.task_graphs import KINDS, run_graph

FOLDS = 3


@pytest.fixture
def fork_copy(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the fork with three windows, which is the current folder."""
    for name in ("data/processed", "models"):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    set_folds(FOLDS)
    return tmp_path


def set_folds(folds: int) -> None:
    with editing(Path("params.yaml")) as content:
        content["split"]["folds"] = folds


def all_rows() -> pd.DataFrame:
    return pd.concat([read_parquet(paths.split_rows(part)) for part in paths.FITTED_PARTS], ignore_index=True)


def test_with_one_fold_the_table_has_no_row_and_the_selection_tells_of_none(fork: Path) -> None:
    for name in FAMILIES["binary"]:
        found = read_parquet(fork / path_of(name))
        assert list(found) == ["parcel", TARGET, "fold", "probability"]
        assert found.empty
    assert "folds" not in read_json(fork / paths.SELECTION)
    assert "- chosen by validation roc_auc: " in (fork / paths.CHAMPION / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("name", FAMILIES["binary"])
@pytest.mark.usefixtures("fork_copy")
def test_each_window_is_predicted_by_the_runs_recipe_on_earlier_rows_and_a_second_run_writes_the_same_bytes(
    name: str,
) -> None:
    run_command("cross-validate", name)
    first = sha256(path_of(name))
    found, rows = read_parquet(path_of(name)), all_rows()
    assert list(found) == ["parcel", TARGET, "fold", "probability"]
    assert found["parcel"].tolist() == rows["parcel"].tolist()
    assert found["probability"].dtype == np.float32
    assert (found["probability"].notna() == (found["fold"] > 0)).all()
    validation = read_parquet(paths.split_rows("validation"))
    assert set(found["parcel"][found["fold"] == FOLDS]) == set(validation["parcel"])
    fold, layout = found["fold"].to_numpy(), Layout(**read_json(paths.FEATURE_LAYOUT))
    for number in range(1, FOLDS + 1):
        fitted, asked = rows[fitted_for(number, fold)], rows[fold == number]
        assert fitted["sent"].max() < asked["sent"].min()
        least = load_section("split", Split).min_category_rows
        expected = fitted_outputs(recipe_of(name), fitted, asked, layout, least)
        assert found["probability"][fold == number].tolist() == expected.tolist()
    run_command("cross-validate", name)
    assert sha256(path_of(name)) == first


@pytest.mark.usefixtures("fork_copy")
def test_the_targets_of_a_window_change_what_is_said_of_later_ones_alone() -> None:
    rows, layout, split = all_rows(), Layout(**read_json(paths.FEATURE_LAYOUT)), load_section("split", Split)
    recipe = recipe_of("logistic_regression")
    before = cross_validate(rows, layout, recipe, split)
    turned = rows[TARGET].where(before["fold"] != 2, 1 - rows[TARGET])
    after = cross_validate(rows.assign(**{TARGET: turned}), layout, recipe, split)
    assert (before["fold"] == after["fold"]).all()
    same = before["probability"] == after["probability"]
    assert same[before["fold"].isin([1, 2])].all()
    assert not same[before["fold"] == 3].any()


@pytest.mark.usefixtures("fork_copy")
def test_rows_of_weight_zero_do_not_change_what_is_said_of_others() -> None:
    rows, layout, split = all_rows(), Layout(**read_json(paths.FEATURE_LAYOUT)), load_section("split", Split)
    layout, recipe = replace(layout, weight="counts"), recipe_of("logistic_regression")
    counts = np.where(np.arange(len(rows)) % 5 == 0, 0.0, 1.0)
    before = cross_validate(rows.assign(counts=counts), layout, recipe, split)
    turned = rows[TARGET].where(counts > 0, 1 - rows[TARGET])
    after = cross_validate(rows.assign(counts=counts, **{TARGET: turned}), layout, recipe, split)
    assert before["probability"].tolist() == pytest.approx(after["probability"].tolist(), nan_ok=True)
    plain = cross_validate(rows, replace(layout, weight=None), recipe, split)
    assert (plain["probability"] != before["probability"])[before["fold"] > 0].any()


@pytest.mark.usefixtures("fork_copy")
def test_more_folds_than_the_rows_can_fill_are_refused_and_nothing_is_written() -> None:
    before = sha256(path_of("random_forest"))
    for part in paths.FITTED_PARTS:
        rows = read_parquet(paths.split_rows(part))
        write_parquet(rows.groupby(TARGET).head(10), paths.split_rows(part))
    set_folds(5)
    with editing(Path("params.yaml")) as content:
        content["split"]["by"] = "stratified"
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: split\.folds: 5: fold \d has 4 rows .*; set 4 or fewer, or add"
    ):
        run_command("cross-validate", "random_forest")
    assert sha256(path_of("random_forest")) == before


@pytest.mark.integration
@pytest.mark.parametrize(("task", "by"), [("binary", "stratified"), ("multiclass", "group"), ("regression", "time")])
def test_a_small_table_has_a_champion_by_its_folds(task: TaskName, by: str, tmp_path: Path) -> None:
    kind = KINDS[task]
    count = 500
    table = kind.table(count).assign(owner=np.arange(count) // 2)
    options = {
        "stratified": ["--exclude", kind.time, "--exclude", "owner"],
        "time": ["--time", kind.time, "--exclude", "owner"],
        "group": ["--group", "owner", "--exclude", kind.time],
    }
    folder = run_graph(
        tmp_path / "fork", table, task, "--target", kind.target, "--key", kind.key, *options[by], folds=FOLDS
    )
    selection = read_json(folder / paths.SELECTION)
    assert selection["folds"] == FOLDS
    assert {len(values) for values in selection["values_by_fold"].values()} == {FOLDS}
    parts = [read_parquet(folder / paths.split_rows(part)) for part in paths.FITTED_PARTS]
    rows = sum(map(len, parts))
    assert (selection["rows"] < rows) if by == "time" else (selection["rows"] == rows)
    found = read_parquet(folder / path_of(selection["champion"]))
    assert len(found) == rows
    if by == "group":
        owners = pd.concat(parts)["owner"].to_numpy()
        assert found["fold"].groupby(owners).nunique().max() == 1
    card = (folder / paths.CHAMPION / "MODEL_CARD.md").read_text()
    chosen = (
        f"- chosen by {selection['metric']} over {FOLDS} folds of {selection['rows']} training and validation rows: "
    )
    assert chosen in card
    assert f"{FOLDS} folds that it is champion." in card
    assert (
        f"Training and validation rows, in {FOLDS} folds, decided"
        in (folder / paths.CHAMPION / "report.html").read_text()
    )
    validation = read_json(folder / paths.training_run(selection["champion"]) / "metrics" / "validation.json")
    assert selection["validation_values"][selection["champion"]] == validation[kind.metric]
