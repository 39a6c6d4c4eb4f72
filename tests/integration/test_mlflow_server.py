"""A real MLflow server records a training run."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.parameters import load_params
from tests.checkouts import run, small_fork
from tests.servers import mlflow_server

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server on a free port, stopped afterwards."""
    with mlflow_server(tmp_path) as address:
        yield address


def test_training_is_recorded_with_parameters_losses_plots_model_and_commit(server: str, tmp_path: Path) -> None:
    checkout = small_fork(tmp_path / "checkout")
    run("dvc", "repro", "evaluate@gradient_boosting", cwd=checkout)
    for _ in range(2):
        done = run("ontime", "track", cwd=checkout, ONTIME_TRACKING="on", MLFLOW_TRACKING_URI=server)
        assert "warning" not in done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("ontime")
    (found,) = client.search_runs([experiment.experiment_id])
    settings = load_params(checkout / "params.yaml").train.gradient_boosting
    assert found.data.params["learning_rate"] == str(settings["learning_rate"])
    assert len(found.data.params["training_data_sha256"]) == 64
    assert (
        found.data.tags["git_commit"]
        == subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=checkout, text=True).strip()
    )
    assert len(client.get_metric_history(found.info.run_id, "validation_log_loss")) > 10
    assert {entry.path for entry in client.list_artifacts(found.info.run_id, "plots")} == {
        "plots/learning_curve.png",
        "plots/roc.png",
    }
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert model.source_run_id == found.info.run_id
