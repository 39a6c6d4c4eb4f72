"""From `ontime init` to a champion, or to the reason why there is none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.data_processing.split import PARTS
from ontime.model_training.families import FAMILIES
from ontime.parameters import load_params
from tests.commands import make_small, run_command
from tests.graph_copy import copy_graph
from tests.task_graphs import PER_FAMILY


def noise(rows: int, events: int) -> pd.DataFrame:
    """A table whose target has nothing to do with its columns."""
    random = np.random.default_rng(11)
    labels = np.zeros(rows, dtype=int)
    labels[random.permutation(rows)[:events]] = 1
    return pd.DataFrame(
        {"x": random.normal(size=rows).round(3), "c": random.choice(["a", "b", "c"], rows), "y": labels}
    )


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the graph with parameters that train in a second, in which the test runs."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(copy_graph(folder))
    make_small(folder / "params.yaml")
    return folder


def init(table: pd.DataFrame, *arguments: str) -> None:
    table.to_csv("t.csv", index=False)
    run_command("init", "--source", "t.csv", "--target", "y", "--no-run", *arguments)


def run_to_select() -> None:
    """The stages from the file to the champion."""
    for stage in ("ingest", "validate", "featurize", "split"):
        run_command(stage)
    for name in FAMILIES["binary"]:
        for stage in PER_FAMILY:
            run_command(stage, name)
    run_command("baselines")
    run_command("select")


@pytest.mark.usefixtures("graph")
def test_a_target_that_follows_from_nothing_has_no_champion() -> None:
    init(noise(400, 160))
    with pytest.raises(
        OntimeError, match=r"^no champion: baseline \w+ has cross-validated roc_auc .*; add rows or"
    ) as error:
        run_to_select()
    assert "\n" not in str(error.value)
    assert not paths.SELECTION.exists()


@pytest.mark.usefixtures("graph")
def test_a_target_that_follows_from_a_column_has_the_simplest_champion_that_is_as_good_as_any() -> None:
    table = noise(400, 160)
    order = np.argsort(table["x"] + 0.5 * np.random.default_rng(5).normal(size=len(table)))
    table["y"] = (np.argsort(order) >= 240).astype(int)
    init(table)
    run_to_select()
    selection = read_json(paths.SELECTION)
    assert selection["champion"] == next(
        name for name in FAMILIES["binary"] if name in selection["as_good_as_the_best"]
    )
    assert all(low > 0 for low, _ in selection["leads_over_baselines"].values())


def patients() -> pd.DataFrame:
    """Four rows of each of 150 patients, who differ in all they have, but not for the target's reasons."""
    random = np.random.default_rng(3)
    marks = random.normal(size=(150, 3)).repeat(4, axis=0) + random.normal(size=(600, 3)) / 100
    table = pd.DataFrame(marks.round(4), columns=["a", "b", "c"])
    return table.assign(patient=np.arange(600) // 4, y=(random.random(150) < 0.4).repeat(4).astype(int))


@pytest.mark.usefixtures("graph")
def test_what_a_model_knows_of_patients_again_makes_a_champion_of_chance(capsys: pytest.CaptureFixture[str]) -> None:
    init(patients(), "--exclude", "patient")
    assert "warning: patient: rows that share a value of it nearly always share y; " in capsys.readouterr().out
    run_to_select()
    assert read_json(paths.SELECTION)["value"] > 0.8


@pytest.mark.usefixtures("graph")
def test_patients_on_one_side_each_have_no_champion_by_chance(capsys: pytest.CaptureFixture[str]) -> None:
    init(patients(), "--group", "patient")
    assert "warning" not in capsys.readouterr().out
    with pytest.raises(OntimeError, match=r"^no champion: baseline "):
        run_to_select()
    sides = [set(read_parquet(paths.split_rows(part))["patient"]) for part in PARTS]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 150
    assert "patient" not in read_json(paths.VOCABULARY)["numbers"]


@pytest.mark.parametrize(("rows", "events"), [(12, 6), (12, 2), (400, 2), (400, 30)])
def test_too_few_rows_of_the_rarer_class_are_refused_with_the_number_that_is_needed(
    graph: Path, rows: int, events: int
) -> None:
    before = (graph / "params.yaml").read_bytes()
    with pytest.raises(OntimeError) as error:
        init(noise(rows, events))
    assert str(error.value) == (
        f"too few rows: {events} of {rows} rows are of the rarer class; the split needs at least 31"
    )
    assert (graph / "params.yaml").read_bytes() == before


@pytest.mark.usefixtures("graph")
def test_as_many_rows_as_were_said_are_enough() -> None:
    init(noise(400, 31))


@pytest.mark.parametrize(("groups", "folds"), [(40, 5), (5, 4)])
@pytest.mark.usefixtures("graph")
def test_a_small_table_gets_five_folds_or_as_many_as_its_groups_can_fill(groups: int, folds: int) -> None:
    init(noise(400, 160).assign(who=np.arange(400) % groups), "--group", "who")
    assert load_params().split.folds == folds


@pytest.mark.usefixtures("graph")
def test_a_part_by_time_with_too_few_rows_of_a_class_is_named() -> None:
    table = noise(400, 160).assign(when=pd.date_range("2020-01-01", periods=400).strftime("%Y-%m-%d"))
    table["y"] = table["y"].mask(table.index >= 300, 0)
    with pytest.raises(OntimeError, match=r"^by time, test has 0 rows of the rarer class and needs 5; "):
        init(table, "--time", "when")


def test_a_part_that_became_too_small_stops_the_graph(graph: Path) -> None:
    init(noise(400, 160))
    params = graph / "params.yaml"
    params.write_text(params.read_text().replace("validation_fraction: 0.15", "validation_fraction: 0.02"))
    for stage in ("ingest", "validate", "featurize"):
        run_command(stage)
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: split: validation has 3 rows of the rarer class and needs 5"
    ):
        run_command("split")
