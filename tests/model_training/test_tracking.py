"""MLflow gets the run, and nothing that happens to it reaches the run."""

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ontime.common.params import LogisticRegression
from ontime.model_training.estimators import fit_logistic_regression
from ontime.model_training.runs import predictor
from ontime.model_training.tracking import TrainingRun, track
from tests.checkouts import commit, git

if TYPE_CHECKING:
    from tests.conftest import Encoded

METADATA = {"model": "logistic_regression", "training_data_sha256": "0" * 64, "packages": {"numpy": "2.4.6"}}


@pytest.fixture
def run(encoded: "Encoded", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of `track` for one small fit, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONTIME_TRACKING", raising=False)
    settings = LogisticRegression(C=0.1, max_iter=50)
    model, history = fit_logistic_regression(encoded.train, encoded.validation, encoded.encoder, settings, 0, False)
    return {
        "run": TrainingRun(
            name="logistic_regression",
            model=model,
            predict=predictor("logistic_regression", model),
            parameters={**settings.model_dump(), "seed": 0},
            metadata=METADATA,
            history=history,
        ),
        "encoder": encoded.encoder,
        "validation": encoded.validation,
    }


def test_tracking_that_is_off_does_nothing(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONTIME_TRACKING", "off")
    track(**run)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_costs_one_line(
    run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"http://someone:secret@127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        capfd.readouterr()
        track(**run)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("warning: MLflow at http://")
    assert "run not recorded: " in printed.err
    assert len(printed.err.splitlines()) == 1
    assert "secret" not in printed.err


@pytest.mark.integration
def test_a_run_is_recorded_with_parameters_losses_plots_and_signed_model(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    (tmp_path / ".gitignore").write_text("*\n!.gitignore\n")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "clean")
    track(**run)
    assert "warning: MLflow" not in capfd.readouterr().err
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("ontime")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "logistic_regression"
    assert found.data.params == {"C": "0.1", "max_iter": "50", "seed": "0", "training_data_sha256": "0" * 64}
    history = run["run"].history[0]
    assert found.data.metrics["train_log_loss"] == pytest.approx(history["train_log_loss"])
    assert found.data.metrics["validation_log_loss_end"] == pytest.approx(history["validation_log_loss"])
    (point,) = client.get_metric_history(found.info.run_id, "validation_log_loss")
    assert point.step == history["step"]
    assert 0.5 < found.data.metrics["validation_roc_auc"] < 1
    plots = {item.path for item in client.list_artifacts(found.info.run_id, "plots")}
    assert plots == {"plots/learning_curve.png", "plots/roc.png"}
    assert found.data.tags["git_commit"] == git(tmp_path, "rev-parse", "HEAD").strip()
    assert found.data.tags["git_dirty"] == "False"
    (model,) = client.search_logged_models([experiment.experiment_id])
    signature = mlflow.models.get_model_info(model.model_uri).signature
    assert signature.inputs.inputs[0].shape == (-1, len(run["encoder"].features))
    assert signature.outputs.inputs[0].shape == (-1,)
