"""The model that is served: which rows it was fitted on, and what is measured of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ontime.common import paths
from ontime.common.files import read_json, read_parquet, sha256, write_parquet
from ontime.common.layout import TARGET
from ontime.common.params import load_section
from ontime.model_evaluation.metrics import as_stored, summarize
from ontime.model_evaluation.settings import Decision
from ontime.model_training.families import load_model
from ontime.model_training.recipe import champion_recipe
from ontime.model_training.rows import load_encoder, load_rows
from ontime.repository.yaml_files import editing
from tests.commands import run_command


@pytest.fixture(autouse=True)
def copy(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is a copy of the fork, which the test may change."""
    for name in ("data/processed", "models"):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)


def files(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its path in a folder."""
    return {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}


def flip(part: str) -> None:
    """Turn every target of a part round."""
    rows = read_parquet(paths.split_rows(part))
    write_parquet(rows.assign(**{TARGET: (1 - rows[TARGET]).astype("Int8")}), paths.split_rows(part))


def test_the_model_is_fitted_on_training_and_validation_rows_with_the_steps_of_the_run() -> None:
    recipe, encoder = champion_recipe(), load_encoder()
    parts = [load_rows(part, encoder) for part in ("train", "validation")]
    rows = (np.concatenate([matrix for matrix, _ in parts]), np.concatenate([labels for _, labels in parts]))
    test = load_rows("test", encoder)[0]
    served = load_model(recipe.family, paths.REFIT / "model")
    np.testing.assert_array_equal(served.predict(test), recipe.fit_all(rows, encoder).predict(test))
    metadata = read_json(paths.REFIT / "metadata" / "refit.json")
    assert (metadata["model"], metadata["refit"], metadata["steps"]) == (recipe.family, True, recipe.steps)
    assert (metadata["rows"], metadata["events"]) == (len(rows[1]), rows[1].sum())
    assert metadata["validation_data_sha256"] == sha256(paths.split_rows("validation"))


def test_it_is_measured_on_test_at_the_threshold_that_validation_chose() -> None:
    recipe = champion_recipe()
    run = paths.training_run(recipe.family)
    threshold = read_json(run / "metrics" / "validation.json")["threshold"]
    matrix, labels = load_rows("test", load_encoder())
    probability = as_stored(load_model(recipe.family, paths.REFIT / "model").predict(matrix))
    expected = summarize(labels, probability, threshold, load_section("decision", Decision))
    assert read_json(paths.REFIT / "metrics" / "test.json") == expected
    assert expected != read_json(run / "metrics" / "test.json")


def test_validation_rows_change_the_model_and_test_rows_only_its_metrics() -> None:
    before = files(paths.REFIT)
    run_command("refit")
    assert files(paths.REFIT) == before
    flip("test")
    run_command("refit")
    assert {name for name, digest in files(paths.REFIT).items() if digest != before[name]} == {"metrics/test.json"}
    flip("validation")
    run_command("refit")
    assert any(files(paths.REFIT)[name] != before[name] for name in before if name.startswith("model/"))


def test_without_a_refit_the_run_itself_is_served_and_measured() -> None:
    with editing(Path("params.yaml")) as content:
        content["train"]["refit"] = False
    run_command("refit")
    run = paths.training_run(champion_recipe().family)
    assert files(paths.REFIT / "model") == files(run / "model")
    assert read_json(paths.REFIT / "metrics" / "test.json") == read_json(run / "metrics" / "test.json")
    assert read_json(paths.REFIT / "metadata" / "refit.json") == {"model": run.name, "refit": False}
