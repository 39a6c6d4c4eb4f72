"""A model family of one's own in `dvc.yaml`: beside one that is like it wherever that stands, and only once."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_training import families
from ontime.model_training.families import family
from ontime.model_training.random_forest import RandomForest
from ontime.parameters import load_params
from ontime.repository.yaml_files import editing
from tests.commands import run_command


@pytest.fixture
def named(graph: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A graph whose parameters name a second forest, for which there is a class."""
    found = families._class_of
    monkeypatch.setattr(families, "_class_of", lambda name: RandomForest if name == "second_forest" else found(name))
    with editing(Path("params.yaml")) as params:
        params["train"]["second_forest"] = dict(params["train"]["random_forest"])
    return graph


def test_it_stands_wherever_one_that_is_like_it_stands(named: Path) -> None:
    path = named / "dvc.yaml"
    before = path.read_text(encoding="utf-8").splitlines()
    run_command("init", "--family", "second_forest")
    after = path.read_text(encoding="utf-8").splitlines()
    added = [line for line in after if "second_forest" in line]
    stages, plots = (before[: before.index("plots:")], before[before.index("plots:") :])
    likes = [line.replace("random_forest", "second_forest") for line in stages if "random_forest" in line]
    assert added[: len(likes)] == likes
    assert len([line for line in plots if "random_forest" in line]) == len(added) - len(likes)
    assert [line for line in after[: after.index("plots:")] if "second_forest" not in line] == stages
    run_command("init", "--family", "second_forest")
    assert path.read_text(encoding="utf-8").splitlines() == after


@pytest.mark.usefixtures("named")
def test_its_parameters_are_checked_like_the_others() -> None:
    assert load_params().train.own_families == ("second_forest",)
    with editing(Path("params.yaml")) as params:
        params["train"]["second_forest"]["n_estimators"] = 0
    with pytest.raises(OntimeError, match=r"^params\.yaml: train\.second_forest\.n_estimators: .* found 0$"):
        load_params()


def test_one_that_has_no_module_is_refused(graph: Path) -> None:
    before = (graph / "dvc.yaml").read_bytes()
    with pytest.raises(OntimeError, match=r"^unknown model light_gbm; known: "):
        run_command("init", "--family", "light_gbm")
    assert (graph / "dvc.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["train", "tune", "keras_model", "../cli", "families"])
def test_a_module_that_has_no_family_is_none(name: str) -> None:
    with pytest.raises(OntimeError, match=r"^unknown model "):
        family(name)
