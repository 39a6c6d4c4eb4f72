"""The image of Airflow's parts and tasks, run as the chart runs it: by its user, on PostgreSQL, with FAB's accounts.

There is no cluster: the scheduler, which is started to ask for its health, has its tasks as processes.
"""

import functools
import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ontime.manifests.render import parse
from pipelines.graph import needs
from tests.airflow_server import DAGS, Airflow
from tests.checkouts import TOP
from tests.containers import KEPT, build
from tests.integration.local_base import kept_base
from tests.live import live
from tests.postgres import postgres
from tests.servers import free_port

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("airflow")]
IMAGE = "localhost/ontime-pipelines"
PROJECT = "/opt/project"
AS_A_POD = ("--user=50000:0", "--cap-drop=all", "--security-opt=no-new-privileges")
ACCOUNT = ("admin", secrets.token_hex(8))
START_SECONDS = 600
PROBE = "CONNECTION_CHECK_MAX_COUNT=0 AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR exec /entrypoint airflow jobs check"
"""The beginning of the chart's own for a part, which adds the kind of its job."""
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob"}


@dataclass(frozen=True)
class ByAccount(Airflow):
    """An Airflow whose account was made by hand."""

    @property
    def account(self) -> tuple[str, str]:
        """Its name and password."""
        return ACCOUNT

    def dags(self) -> set[str]:
        """Names of the DAGs, none while the API does not answer."""
        try:
            return {one["dag_id"] for one in self.call("dags")["dags"]}
        except OSError:
            return set()


@dataclass
class Containers:
    """Runs containers of the image on this machine's loopback."""

    podman: dict[str, str]
    folder: Path
    variables: dict[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def command(self, name: str, *words: str) -> list[str]:
        """The command that runs one."""
        given = [f"--env={key}={value}" for key, value in self.variables.items()]
        return ["podman", "run", "--rm", f"--name={name}", "--network=host", *AS_A_POD, *given, IMAGE, *words]

    def run(self, *words: str) -> str:
        """What a command prints in one."""
        command = self.command(f"once-{secrets.token_hex(4)}", *words)
        done = subprocess.run(command, env=self.podman, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, part: str, *options: str) -> None:
        """Start a part of Airflow as the chart does."""
        command = self.command(part, "bash", "-c", " ".join(["exec airflow", part, *options]))
        with (self.folder / f"{part}.log").open("wb") as log:
            self.processes[part] = subprocess.Popen(command, env=self.podman, stdout=log, stderr=log)

    def is_alive(self, part: str) -> bool:
        """Whether the chart's probe finds a part alive."""
        command = ["podman", "exec", part, "sh", "-c", f"{PROBE} --job-type {JOBS[part]} --local"]
        return subprocess.run(command, env=self.podman, capture_output=True, check=False).returncode == 0

    def end(self) -> None:
        """End all."""
        for part, process in self.processes.items():
            command = ["podman", "rm", "--force", "--time=5", part]
            subprocess.run(command, env=self.podman, check=False, stdout=subprocess.DEVNULL)
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def image(podman: dict[str, str]) -> str:
    """The image in the store."""
    ignored = "--ignorefile=pipelines/Dockerfile.dockerignore"
    build(podman, IMAGE, kept_base("podman", KEPT, podman), "--file=pipelines/Dockerfile", ignored, folder=TOP)
    return IMAGE


@pytest.fixture
def containers(podman: dict[str, str], image: str, tmp_path: Path) -> Iterator[Containers]:
    """Containers of the image with the chart's configuration and an empty database."""
    assert image == IMAGE
    (application,) = parse((TOP / "argocd" / "platform" / "airflow.yaml").read_text(encoding="utf-8"))
    (values,) = (one["helm"]["valuesObject"] for one in application["spec"]["sources"] if one["chart"] == "airflow")
    port = free_port()
    with postgres("airflow", "airflow") as database:
        variables = {
            **{f"AIRFLOW__CORE__{name.upper()}": text for name, text in values["config"]["core"].items()},
            # the address as CloudNativePG writes it
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url("postgresql"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        }
        made = Containers(podman, tmp_path, variables)
        try:
            yield made
        finally:
            made.end()


def test_the_image_reads_the_dags_and_has_the_programs_of_the_lock(podman: dict[str, str], image: str) -> None:
    containers = Containers(podman, Path(), {})
    program = "import json; from pipelines.training import training; print(json.dumps(sorted(training.task_ids)))"
    tasks = json.loads(containers.run("python", "-c", program).splitlines()[-1])
    assert {stage.replace("@", ".") for stage in needs(live("dvc.lock"))} < set(tasks)
    for name in ("ontime", "dvc"):
        assert containers.run(f"{PROJECT}/.venv/bin/{name}", "--help")
    assert containers.run("id", "--user", "--name").strip() == "airflow"
    assert image == IMAGE


def test_the_parts_run_on_postgresql_and_the_charts_probes_find_them_alive(containers: Containers) -> None:
    containers.run("bash", "-c", "exec airflow db migrate")
    name, password = ACCOUNT
    given = {"username": name, "password": password, "firstname": "A", "lastname": "A", "email": "a@example.invalid"}
    containers.run("airflow", "users", "create", "--role=Admin", *(f"--{key}={text}" for key, text in given.items()))
    containers.start("api-server")
    containers.start("dag-processor")
    containers.start("scheduler", "--skip-serve-logs")
    address = f"http://127.0.0.1:{containers.variables['AIRFLOW__API__PORT']}"
    airflow = ByAccount(address, containers.folder, TOP, containers.processes["dag-processor"])
    airflow.wait(lambda: airflow.dags() >= set(DAGS), START_SECONDS)
    for part in JOBS:
        airflow.wait(functools.partial(containers.is_alive, part), START_SECONDS)
