"""MLflow's registry follows the tags, and never stops a release."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.releases import NAME, Repository, enter, release
from tests.servers import mlflow_server


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_DISABLE_TELEMETRY"):
        # what the command sets by default goes when the test ends
        monkeypatch.setenv(name, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}.get(name, "5"))
    repository = enter(tmp_path, monkeypatch)
    for version in ("v1.0.0", "v1.1.0"):
        repository.tag(f"{NAME}@{version}", repository.make_model(version))
    return repository


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server."""
    with mlflow_server(tmp_path) as address:
        yield address


@pytest.mark.integration
def test_versions_and_stages_are_copied_once(
    repository: Repository, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    repository.tag(f"{NAME}#production#1", f"{NAME}@v1.0.0")
    assert release("mirror") == "5 changes in MLflow's registry"
    assert release("mirror") == "0 changes in MLflow's registry"
    client = MlflowClient(server)
    staging, production = (client.get_model_version_by_alias(NAME, stage) for stage in ("staging", "production"))
    assert (staging.tags["version"], production.tags["version"]) == ("v1.1.0", "v1.0.0")
    assert production.tags["git_commit"] == repository.git("rev-parse", f"{NAME}@v1.0.0^{{}}")
    repository.tag(f"{NAME}#production#2", f"{NAME}@v1.1.0")
    assert release("mirror") == "1 changes in MLflow's registry"
    assert client.get_model_version_by_alias(NAME, "production").tags["version"] == "v1.1.0"
    repository.tag(f"{NAME}#production!#3", f"{NAME}@v1.1.0")
    repository.tag(f"{NAME}#production!#4", f"{NAME}@v1.0.0")
    assert release("mirror") == "1 changes in MLflow's registry"
    assert "production" not in client.get_registered_model(NAME).aliases


def test_a_server_that_is_down_costs_a_warning(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del repository
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    assert release("mirror") == ""
    told = capsys.readouterr().err
    assert told.startswith("warning: MLflow at http://127.0.0.1:9: registry not mirrored: ")
    assert told.count("\n") == 1
    assert "secret" not in told


def test_a_registry_elsewhere_is_the_one_that_the_warning_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/tracking.db")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    release("mirror")
    assert capsys.readouterr().err.startswith("warning: MLflow at http://127.0.0.1:1: registry not mirrored: ")
