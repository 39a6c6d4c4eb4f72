"""The search keeps the best of what it tried, and what it writes is what the file's own checks allow."""

from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.model_training import tune
from ontime.model_training.families import parameters_of
from ontime.parameters import load_params
from tests.commands import run_command


def losses_by(parameter: str, best: Any) -> Any:
    """A stand-in for a fit: the loss is the distance of one hyperparameter from the best value."""

    def loss(checkout: Path, model: str, parameters: Any, seed: int, task: str, classes: Any) -> float:
        del checkout, model, seed, task, classes
        return float(abs(getattr(parameters, parameter) - best))

    return loss


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the parameters alone, searched in this process."""
    text = Path("params.yaml").read_text(encoding="utf-8").replace("backend: loky", "backend: sequential")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_best_settings_replace_those_in_the_file_and_nothing_else(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (checkout / "params.yaml").read_text()
    old = load_params().train.model_dump()["logistic_regression"]["C"]
    monkeypatch.setattr(tune, "validation_loss", losses_by("C", 0.001))
    run_command("tune", "logistic_regression", "--trials", "4")
    after = (checkout / "params.yaml").read_text()
    assert load_params().train.model_dump()["logistic_regression"]["C"] == 0.001
    assert after == before.replace(f"C: {old}", "C: 0.001")


def test_the_file_is_left_alone_where_it_has_the_best(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (checkout / "params.yaml").read_bytes()
    monkeypatch.setattr(
        tune, "validation_loss", losses_by("C", load_params().train.model_dump()["logistic_regression"]["C"])
    )
    run_command("tune", "logistic_regression", "--trials", "4")
    assert (checkout / "params.yaml").read_bytes() == before


def test_a_value_that_the_file_may_not_hold_is_refused_before_any_fit(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text().replace("C: [0.001, 0.01, 0.1, 1.0]", "C: [-1.0]")
    (checkout / "params.yaml").write_text(text)
    with pytest.raises(OntimeError, match=r"^params\.yaml: tune\.space\.logistic_regression\.C: .*greater than 0"):
        run_command("tune", "logistic_regression", "--trials", "1")


def test_a_family_without_a_space_is_told(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text[: text.index("    random_forest:\n      max_features: [")])
    with pytest.raises(OntimeError, match=r"tune\.space\.random_forest: missing"):
        run_command("tune", "random_forest")


def test_the_loss_of_a_fit_is_read_from_a_checkout_elsewhere(fork: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = load_params(fork / "params.yaml").train
    parameters = parameters_of("logistic_regression", train)
    here = tune.validation_loss(fork, "logistic_regression", parameters, train.seed, "binary")
    monkeypatch.chdir("/")
    assert tune.validation_loss(fork, "logistic_regression", parameters, train.seed, "binary") == here
    assert 0 < here < 0.7
