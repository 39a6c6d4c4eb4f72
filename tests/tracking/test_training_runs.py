"""`ontime track`: MLflow gets each finished run once, and nothing that happens to it reaches the run."""

import json
import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, write_json, write_text
from ontime.model_training.train import TIMES
from ontime.model_training.tune import TRIALS
from ontime.tracking.experiment import IDENTITY, VIEW
from ontime.tracking.training_runs import NOTE, hashed, identity_of, noted
from tests.checkouts import TOP

NAME = "logistic_regression"


@pytest.fixture
def checkout(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the fork's data and one finished run, which tests may change, and a tracking file of its own."""
    (tmp_path / "data").symlink_to(fork / "data")
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    run = Path("models") / "training_runs" / NAME
    shutil.copytree(fork / run, tmp_path / run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONTIME_TRACKING", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return tmp_path


@pytest.fixture
def track(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A function that runs the command and returns what it printed."""

    def run(*models: str) -> Any:
        capfd.readouterr()
        commands.main(["track", *models], standalone_mode=False)
        return capfd.readouterr()

    return run


@pytest.fixture
def recorded(checkout: Path) -> Callable[[], list[Any]]:
    """A function that returns the runs that MLflow has, newest first."""

    def runs() -> list[Any]:
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{checkout}/mlflow.db")
        return list(client.search_runs([client.get_experiment_by_name("ontime").experiment_id]))

    return runs


def test_tracking_that_is_off_does_nothing(
    checkout: Path, track: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONTIME_TRACKING", "off")
    before = sorted(checkout.rglob("*"))
    assert track() == ("", "")
    assert sorted(checkout.rglob("*")) == before


def test_a_server_that_does_not_answer_costs_one_line(
    checkout: Path, track: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del checkout
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"http://someone:secret@127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        printed = track()
    assert printed.out == ""
    assert printed.err.startswith("warning: MLflow at http://")
    assert "runs not recorded: " in printed.err
    assert len(printed.err.splitlines()) == 1
    assert "secret" not in printed.err


def test_a_run_that_is_not_there_is_told_and_an_unknown_model_too(checkout: Path, track: Callable[..., Any]) -> None:
    with pytest.raises(OntimeError, match=r"^models/training_runs/random_forest: not found; run `dvc repro`"):
        track(NAME, "random_forest")
    with pytest.raises(OntimeError, match=r"^unknown model random_forrest; did you mean random_forest\?$"):
        track("random_forrest")
    assert not (checkout / "mlflow.db").exists()


def test_the_identity_of_a_run_is_what_the_training_wrote(checkout: Path) -> None:
    run = checkout / "models" / "training_runs" / NAME
    before = identity_of(run)
    write_text(run / "metrics" / "validation.json", "{}\n")
    assert identity_of(run) == before
    write_text(run / "metrics" / "history.csv", "step\n1\n")
    assert identity_of(run) != before


def test_what_is_noted_holds_for_its_address_alone_and_while_its_database_is_there(checkout: Path) -> None:
    here, there = f"sqlite:///{checkout}/mlflow.db", "https://mlflow.example"
    write_json(NOTE, {hashed(here): ["a"]})
    assert (noted(here), noted(there)) == (set(), set())
    (checkout / "mlflow.db").touch()
    assert (noted(here), noted(there)) == ({"a"}, set())
    write_json(NOTE, {hashed(there): ["b"]})
    assert (noted(here), noted(there)) == (set(), {"b"})


@pytest.mark.integration
def test_a_run_is_recorded_with_parameters_losses_metrics_plots_and_signed_model(
    checkout: Path, track: Callable[..., Any], recorded: Callable[[], list[Any]]
) -> None:
    import mlflow

    printed = track()
    assert "warning" not in printed.err
    assert NAME in printed.out
    (found,) = recorded()
    run = checkout / "models" / "training_runs" / NAME
    training = read_json(run / "metadata" / "training.json")
    parameters = read_json(run / "config" / "parameters.json")
    parameters["training_data_sha256"] = training["training_data_sha256"]
    assert (found.info.status, found.info.run_name) == ("FINISHED", NAME)
    assert found.data.params == {key: str(value) for key, value in parameters.items()}
    history = pd.read_csv(run / "metrics" / "history.csv")
    client = mlflow.MlflowClient(f"sqlite:///{checkout}/mlflow.db")
    for name in history.columns.drop("step"):
        points = client.get_metric_history(found.info.run_id, name)
        assert [point.step for point in points] == history["step"].tolist()
        assert [point.value for point in points] == pytest.approx(history[name].tolist())
    for part in ("validation", "test"):
        for name, value in read_json(run / "metrics" / f"{part}.json").items():
            assert found.data.metrics[f"{part}/{name}"] == pytest.approx(value)
    plots = {item.path for item in client.list_artifacts(found.info.run_id, "plots")}
    assert plots == {"plots/learning_curve.png", "plots/roc.png"}
    assert found.data.tags["git_commit"] == "unknown"
    times = read_json(run / TIMES)
    assert found.info.end_time - found.info.start_time == pytest.approx(1000 * (times["ended"] - times["begun"]), abs=2)
    data = {one.dataset.name: one.dataset.digest for one in found.inputs.dataset_inputs}
    assert data["parcels.csv train"] == training["training_data_sha256"][:36]
    assert set(data) == {"parcels.csv train", "parcels.csv validation", "parcels.csv test"}
    (model,) = client.search_logged_models([found.info.experiment_id])
    signature = mlflow.models.get_model_info(model.model_uri).signature
    features = read_json(checkout / "data" / "processed" / "vocabulary.json")
    assert signature.inputs.inputs[0].shape == (-1, len(features["numbers"]) + len(features["categories"]))
    assert signature.outputs.inputs[0].shape == (-1,)


@pytest.mark.integration
def test_a_person_sees_which_run_won_and_what_a_search_tried(
    fork: Path, checkout: Path, track: Callable[..., Any], recorded: Callable[[], list[Any]]
) -> None:
    import mlflow

    for part in ("training_runs/base_rate", "refit/metrics"):
        shutil.copytree(fork / "models" / part, checkout / "models" / part)
    family = checkout / "models" / "training_runs" / NAME
    trials = [{"parameters": {}, "loss": 0.6}, {"parameters": {"C": 0.01}, "loss": 0.5}]
    write_json(family / TRIALS, {"loss": "log_loss", "begun": 1000.0, "ended": 1060.0, "trials": trials})
    assert track().out == f"recorded in MLflow: {NAME}, base_rate, trials of {NAME}\n"
    before = {run.info.run_name: run.data.tags["role"] for run in recorded()}
    assert before == {
        NAME: "trained",
        "base_rate": "baseline",
        f"tune {NAME}": "search",
        "trial 1: as in params.yaml": "trial",
        "trial 2: C 0.01": "trial",
    }
    search, *children = sorted(
        (run for run in recorded() if run.data.tags["role"] in ("search", "trial")), key=lambda run: run.info.run_name
    )[::-1]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {search.info.run_id}
    assert search.data.metrics == {"validation/log_loss": 0.5}
    assert search.info.end_time - search.info.start_time == 60_000
    value = read_json(family / "metrics" / "validation.json")["roc_auc"]
    selection = {"champion": NAME, "metric": "roc_auc", "candidates": {NAME: value}, "baselines": {"base_rate": 0.5}}
    write_json(checkout / "models" / "selection.json", selection)
    track()
    (won,) = [run for run in recorded() if run.info.run_name == NAME]
    served = read_json(fork / "models" / "refit" / "metrics" / "test.json")
    assert won.data.tags["role"] == "champion"
    assert won.data.metrics["served_test/roc_auc"] == served["roc_auc"]
    assert len(recorded()) == 5
    tags = mlflow.MlflowClient(f"sqlite:///{checkout}/mlflow.db").get_experiment_by_name("ontime").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"].startswith(f"**Champion at unknown: {NAME}**, by validation roc_auc: ")
    view = json.loads(tags[f"mlflow.sharedViewState.{VIEW}"])
    assert "metrics.`test/roc_auc`" in view["selectedColumns"]
    assert f"viewStateShareKey={VIEW}'" in (TOP / "Makefile").read_text()


@pytest.mark.integration
def test_a_run_is_recorded_once_and_again_when_it_was_trained_anew(
    checkout: Path, track: Callable[..., Any], recorded: Callable[[], list[Any]]
) -> None:
    track()
    (first,) = recorded()
    assert track() == track(NAME) == ("", "")
    assert [run.info.run_id for run in recorded()] == [first.info.run_id]
    (checkout / NOTE).unlink()
    assert track() == ("recorded in MLflow: nothing new\n", "")
    assert [run.info.run_id for run in recorded()] == [first.info.run_id]
    write_text(checkout / "models" / "training_runs" / NAME / "metrics" / "history.csv", "step,train_log_loss\n1,0.5\n")
    assert track() == (f"recorded in MLflow: {NAME}\n", "")
    assert len(recorded()) == 2


@pytest.mark.integration
def test_a_run_whose_recording_was_broken_off_is_recorded_whole_the_next_time(
    checkout: Path, track: Callable[..., Any], recorded: Callable[[], list[Any]]
) -> None:
    roc = checkout / "models" / "training_runs" / NAME / "plots" / "roc.csv"
    kept = roc.read_text()
    write_text(roc, "no curve\n1\n")
    assert "runs not recorded" in track().err
    (broken,) = recorded()
    assert broken.info.status == "FAILED" and IDENTITY in broken.data.tags
    write_text(roc, kept)
    assert track() == (f"recorded in MLflow: {NAME}\n", "")
    assert sorted(run.info.status for run in recorded()) == ["FAILED", "FINISHED"]
