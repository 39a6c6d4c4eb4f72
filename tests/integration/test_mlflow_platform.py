"""MLflow as its chart starts it: accounts and runs in PostgreSQL, artifacts on S3, twenty trainings at once."""

import contextlib
import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from botocore.session import get_session

from ontime.common.files import read_json
from ontime.repository.yaml_files import editing
from ontime.tracking.training_runs import identity_of
from tests import mlflow_chart
from tests.checkouts import run
from tests.commands import run_command
from tests.postgres import Database, postgres
from tests.releases import NAME, Repository, enter
from tests.s3_server import served
from tests.servers import free_port, running_mlflow

pytestmark = pytest.mark.integration
FAMILY = "logistic_regression"
AT_ONCE = 20
RECORDED = f"recorded in MLflow: {FAMILY}"
ADMINISTRATOR, TRAINER = ("administrator", "twelveletters"), ("trainer", "also twelve letters")
COLLEAGUE = ("colleague", "twelve letters too")


@dataclass(frozen=True)
class Platform:
    """What MLflow keeps its state in; `client` asks the S3 server."""

    database: Database
    client: Any
    bucket: str
    folder: Path
    keys: dict[str, str]
    port: int

    @contextlib.contextmanager
    def mlflow(self) -> Iterator[str]:
        """Address of a server, started as the chart starts it; always the same, as behind the name of its Service."""
        given = mlflow_chart.values()
        settings = self.folder / "basic_auth.ini"
        address_of_accounts = self.database.url(mlflow_chart.scheme(given["auth"]["postgres"]))
        settings.write_text(mlflow_chart.accounts(given, address_of_accounts, ADMINISTRATOR))
        variables = {
            **mlflow_chart.environment(given),
            **self.database.variables,
            **self.keys,
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of the test",
        }
        options = mlflow_chart.arguments(given)
        with running_mlflow(self.folder / "server.log", self.port, *options, **variables) as address:
            yield address

    def objects(self) -> dict[str, int]:
        """Size of each object of the bucket by its key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Database, bucket and keys, named as the chart's values name them."""
    given = mlflow_chart.values()
    bucket, name = given["artifactRoot"]["s3"]["bucket"], given["backendStore"]["postgres"]["database"]
    with postgres(name, "mlflow") as database, served(tmp_path / "s3") as state:
        address = f"http://127.0.0.1:{state['port']}"
        keys = {name: str(state[name]) for name in ("access_key_id", "secret_access_key")}
        client = get_session().create_client(
            "s3", endpoint_url=address, region_name="us-east-1", **{f"aws_{key}": keys[key] for key in keys}
        )
        client.create_bucket(Bucket=bucket)
        variables = {f"AWS_{key.upper()}": value for key, value in keys.items()}
        variables |= {"AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1"}
        yield Platform(database, client, bucket, tmp_path, variables, free_port())


@pytest.fixture
def trained(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A folder for each of the trainings and one more, which differ in a parameter, none of them recorded."""
    folders = [tmp_path / f"training_{number}" for number in range(AT_ONCE + 1)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "data").symlink_to(fork / "data")
        (folder / "params.yaml").write_bytes((fork / "params.yaml").read_bytes())
        with editing(folder / "params.yaml") as content:
            content["train"]["logistic_regression"]["C"] = 0.1 * (number + 1)
        monkeypatch.chdir(folder)
        run_command("train", FAMILY)
        run_command("evaluate", FAMILY)
    return folders


def account(who: tuple[str, str]) -> dict[str, str]:
    """By which variables a client logs in."""
    return dict(zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), who, strict=True))


def track(folder: Path, address: str, who: tuple[str, str] = TRAINER) -> "subprocess.CompletedProcess[str]":
    """Record a training as an account that is no administrator."""
    variables = {"ONTIME_TRACKING": "on", "MLFLOW_TRACKING_URI": address, **account(who)}
    return run("ontime", "track", cwd=folder, check=True, **variables)


def state_of(address: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All that the server says of the runs, by their identity, and of the registry; files by their hashes."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    for name, value in {"MLFLOW_TRACKING_URI": address, **account(ADMINISTRATOR)}.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("ontime").experiment_id
    models = {one.source_run_id: one for one in client.search_logged_models([experiment])}
    found: dict[str, Any] = {}
    for one in client.search_runs([experiment]):
        name = one.info.run_id
        files = {item.path for item in client.list_artifacts(name)}
        files |= {item.path for item in client.list_artifacts(name, "plots")}
        content = download_artifacts(run_id=name, artifact_path="training.json")
        model = client.list_logged_model_artifacts(models[name].model_id)
        found[one.data.tags["training_run_sha256"]] = {
            "status": one.info.status,
            "parameters": one.data.params,
            "metrics": one.data.metrics,
            "losses": {
                key: [(point.step, point.value) for point in client.get_metric_history(name, key)]
                for key in ("train_log_loss", "validation_log_loss")
            },
            "files": files,
            "training": hashlib.sha256(Path(content).read_bytes()).hexdigest(),
            "model": {item.path: item.file_size for item in model},
        }
    registered = client.get_registered_model(NAME)
    versions = {one.version: one.tags for one in client.search_model_versions(f"name = '{NAME}'")}
    return {"runs": found, "aliases": registered.aliases, "versions": versions}


def expected_run(folder: Path) -> dict[str, Any]:
    """Parameters and metrics that must be found of a training."""
    top = folder / "models" / "training_runs" / FAMILY
    training = read_json(top / "metadata" / "training.json")
    parameters = read_json(top / "config" / "parameters.json")
    history = pd.read_csv(top / "metrics" / "history.csv")
    metrics = {
        f"{part}/{key}": float(value)
        for part in ("validation", "test")
        for key, value in read_json(top / "metrics" / f"{part}.json").items()
    }
    names = history.columns.drop("step")
    return {
        "parameters": {
            **{key: str(value) for key, value in parameters.items()},
            "training_data_sha256": training["training_data_sha256"],
        },
        "metrics": metrics | {name: float(history[name].iloc[-1]) for name in names},
        "losses": {name: list(zip(history["step"], history[name], strict=True)) for name in names},
    }


@pytest.mark.rehearsal
@pytest.mark.timeout(3600)
def test_twenty_trainings_at_once_and_the_registry_come_back_from_a_dump(
    platform: Platform, trained: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = released(tmp_path / "repository", monkeypatch)
    with platform.mlflow() as address:
        for who in (TRAINER, COLLEAGUE):
            new = dict(zip(("username", "password"), who, strict=True))
            assert ask(address, "users/create", new, who).status_code == 401
            assert ask(address, "users/create", new).status_code == 200
        begin = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(lambda folder: track(folder, address), trained[:AT_ONCE]))
        print(f"{AT_ONCE} trainings recorded at once in {time.monotonic() - begin:.0f} s")
        assert [(one.stdout.splitlines()[-1:], one.stderr) for one in done] == [([RECORDED], "")] * AT_ONCE
        assert mirror(repository, address) == "5 changes in MLflow's registry\n"
        allow_colleague(address, trained[AT_ONCE])
        before = state_of(address, monkeypatch)
    objects = platform.objects()
    check(before, trained)
    prefix = mlflow_chart.values()["artifactRoot"]["s3"]["path"]
    assert objects and all(key.startswith(f"{prefix}/") for key in objects)
    assert not list(tmp_path.glob("**/mlartifacts")) and not list(tmp_path.glob("**/mlruns"))
    assert platform.database.ask("SELECT count(*) FROM runs") == str(len(trained))
    for question in ("SELECT artifact_uri FROM runs", "SELECT artifact_location FROM logged_models"):
        places = platform.database.ask(question).splitlines()
        # the server's own address is in none, so it may move
        assert places and all(re.match(r"mlflow-artifacts:/\w", place) for place in places)

    platform.database.dump(tmp_path / "mlflow.dump")
    platform.database.drop()
    platform.database.make()
    platform.database.restore(tmp_path / "mlflow.dump")
    with platform.mlflow() as address:
        assert state_of(address, monkeypatch) == before
        # accounts are in the dump too, and nothing is recorded or copied twice
        for folder in trained[:2]:
            again = track(folder, address)
            assert (again.stdout, again.stderr) == ("recorded in MLflow: nothing new\n", "")
        assert mirror(repository, address) == "0 changes in MLflow's registry\n"
    assert platform.objects() == objects


def ask(
    address: str,
    path: str,
    content: dict[str, Any],
    who: tuple[str, str] = ADMINISTRATOR,
    version: str = "2.0",
    **headers: str,
) -> requests.Response:
    """What a version of the API answers."""
    return requests.post(f"{address}/api/{version}/mlflow/{path}", json=content, auth=who, headers=headers, timeout=300)


def allow_colleague(address: str, folder: Path) -> None:
    """Another account records a training in the experiment only when it may change it."""
    refused = track(folder, address, COLLEAGUE)
    assert refused.stdout == "" and refused.stderr.count("\n") == 1 and "Permission denied" in refused.stderr
    found = ask(address, "experiments/search", {"max_results": 10, "filter": "name = 'ontime'"}).json()["experiments"]
    (identity,) = [one["experiment_id"] for one in found if one["name"] == "ontime"]
    allowed = {"username": COLLEAGUE[0], "resource_type": "experiment", "resource_id": identity, "permission": "EDIT"}
    answer = ask(address, "users/permissions/grant", allowed, version="3.0")
    assert answer.status_code == 200, answer.text
    assert track(folder, address, COLLEAGUE).stdout.splitlines()[-1:] == [RECORDED]


def check(found: dict[str, Any], trained: list[Path]) -> None:
    """Every training is there, whole."""
    expected = {identity_of(folder / "models" / "training_runs" / FAMILY): expected_run(folder) for folder in trained}
    assert found["runs"].keys() == expected.keys()
    for identity, one in found["runs"].items():
        wanted = expected[identity]
        assert (one["status"], one["parameters"]) == ("FINISHED", wanted["parameters"])
        assert one["metrics"] == pytest.approx(wanted["metrics"])
        for name, losses in wanted["losses"].items():
            assert [point[0] for point in one["losses"][name]] == [point[0] for point in losses]
            assert [point[1] for point in one["losses"][name]] == pytest.approx([point[1] for point in losses])
        assert one["files"] == {"training.json", "plots", "plots/learning_curve.png", "plots/roc.png"}
        assert {"MLmodel", "model.skops", "requirements.txt"} <= one["model"].keys()
    assert set(found["aliases"]) == {"staging", "production"}
    assert {tags["version"] for tags in found["versions"].values()} == {"v1.0.0", "v1.1.0"}


def released(top: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with two versions, of which the older is in production."""
    top.mkdir()
    repository = enter(top, monkeypatch)
    for version in ("v1.0.0", "v1.1.0"):
        repository.tag(f"{NAME}@{version}", repository.make_model(version))
    repository.tag(f"{NAME}#production#1", f"{NAME}@v1.0.0")
    return repository


def mirror(repository: Repository, address: str) -> str:
    """What the copy of the registry says."""
    variables = {"MLFLOW_TRACKING_URI": address, **account(ADMINISTRATOR)}
    done = run("ontime", "release", "mirror", cwd=repository.checkout, check=True, **variables)
    assert done.stderr == ""
    return done.stdout


def test_the_server_answers_by_its_name_in_the_cluster_and_by_no_other(platform: Platform) -> None:
    with platform.mlflow() as address:
        for host, status in {
            "mlflow.mlflow": 200,
            "mlflow.mlflow.svc.cluster.local": 200,
            address.removeprefix("http://"): 200,
            "mlflow.example": 403,
        }.items():
            answer = ask(address, "experiments/search", {"max_results": 1}, Host=host)
            assert answer.status_code == status, (host, answer.text)
        # as the kubelet asks, by the pod's address
        assert requests.get(f"{address}/health", headers={"Host": "10.1.2.3:5000"}, timeout=300).status_code == 200
