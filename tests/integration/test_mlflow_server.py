"""A real MLflow server records a training run; with the accounts of the cluster, only of who has one."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ontime.parameters import load_params
from tests import mlflow_chart
from tests.checkouts import TOP, run, small_fork
from tests.servers import free_port, mlflow_server, running_mlflow

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


ADMINISTRATOR = ("administrator", "twelve letters")
CREATE, SEARCH = "api/2.0/mlflow/experiments/create", "api/2.0/mlflow/experiments/search"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server with the accounts that the values of the cluster's chart ask for."""
    given = mlflow_chart.values()
    settings = tmp_path / "basic_auth.ini"
    settings.write_text(mlflow_chart.accounts(given, f"sqlite:///{tmp_path}/server.db", ADMINISTRATOR))
    options = [option for option in mlflow_chart.arguments(given) if option.startswith("--app-name=")]
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of the test"}
    with mlflow_server(tmp_path, *options, **variables) as address:
        yield address


@pytest.mark.attack("platform-access")
def test_who_has_no_account_reads_and_writes_nothing(closed: str) -> None:
    body, known = {"name": "somebody's"}, ADMINISTRATOR
    strangers = [None, ("admin", "password1234"), ("admin", "password"), (known[0], "guessed"), (known[0], "")]
    for account in strangers:
        for path in (CREATE, SEARCH):
            answer = requests.post(f"{closed}/{path}", json={**body, "max_results": 1}, auth=account, timeout=30)
            assert answer.status_code == 401, (account, path, answer.text)
        assert requests.get(f"{closed}/signup", auth=account, timeout=30).status_code == 401
    assert requests.post(f"{closed}/{CREATE}", json=body, auth=known, timeout=30).status_code == 200
    users = f"{closed}/api/2.0/mlflow/users/create"
    reader = ("reader", "another password")
    made = requests.post(users, json=dict(zip(("username", "password"), reader, strict=True)), auth=known, timeout=30)
    assert made.status_code == 200, made.text
    seen = requests.post(f"{closed}/{SEARCH}", json={"max_results": 5}, auth=reader, timeout=30)
    (one,) = [one for one in seen.json()["experiments"] if one["name"] == body["name"]]
    deleted = requests.post(
        f"{closed}/api/2.0/mlflow/experiments/delete",
        json={"experiment_id": one["experiment_id"]},
        auth=reader,
        timeout=30,
    )
    assert deleted.status_code == 403
    assert (
        requests.post(users, json={"username": "x", "password": "y" * 12}, auth=reader, timeout=30).status_code == 403
    )


def test_training_is_recorded_by_who_logs_in(closed: str, tmp_path: Path) -> None:
    checkout = small_fork(tmp_path / "checkout")
    run("dvc", "repro", "evaluate@logistic_regression", cwd=checkout)
    refused = run("ontime", "track", cwd=checkout, ONTIME_TRACKING="on", MLFLOW_TRACKING_URI=closed)
    assert refused.stderr.startswith("warning: MLflow at ") and "not recorded" in refused.stderr
    assert refused.stderr.count("\n") == 1
    name, password = ADMINISTRATOR
    done = run(
        *("ontime", "track"),
        cwd=checkout,
        ONTIME_TRACKING="on",
        MLFLOW_TRACKING_URI=closed,
        MLFLOW_TRACKING_USERNAME=name,
        MLFLOW_TRACKING_PASSWORD=password,
    )
    assert "warning" not in done.stderr
    found = requests.post(f"{closed}/{SEARCH}", json={"max_results": 5}, auth=ADMINISTRATOR, timeout=30).json()
    assert "ontime" in {one["name"] for one in found["experiments"]}


def test_the_task_starts_one_process_as_a_supervisor_ends_servers_that_start_slowly(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\tmlflow ui (.*)$", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    options = shlex.split(line.replace("sqlite:///", f"sqlite:///{tmp_path}/").replace("--port 5000", ""))
    log = tmp_path / "server.log"
    with running_mlflow(log, free_port(), *options):
        pass
    # uvicorn ends a worker that does not answer within five seconds, and loading MLflow takes longer on a busy machine
    assert "Started parent process" not in log.read_text(encoding="utf-8")
