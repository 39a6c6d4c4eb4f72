"""The image of Airflow's parts and tasks, and containers of it that run as the chart runs them."""

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.airflow_server import Airflow
from tests.checkouts import TOP
from tests.containers import build
from tests.integration.local_base import kept_base

IMAGE = "localhost/ontime-pipelines"
AS_A_POD = ("--user=50000:0", "--cap-drop=all", "--security-opt=no-new-privileges")
ACCOUNT = ("admin", secrets.token_hex(8))
PROBE = "CONNECTION_CHECK_MAX_COUNT=0 AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR exec /entrypoint airflow jobs check"
"""The beginning of the chart's own for a part, which adds the kind of its job."""
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob"}


def build_image(podman: Mapping[str, str], checkout: Path = TOP, name: str = IMAGE) -> str:
    """The image of a checkout in the store; its name."""
    ignored = "--ignorefile=pipelines/Dockerfile.dockerignore"
    build(podman, name, kept_base("podman", podman), "--file=pipelines/Dockerfile", ignored, folder=checkout)
    return name


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
    """Runs containers of an image on this machine's loopback."""

    podman: dict[str, str]
    folder: Path
    variables: dict[str, str]
    image: str
    volumes: tuple[str, ...] = ()
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def command(self, name: str, *words: str, **more: str) -> list[str]:
        """The command that runs one; `more` are variables of its own."""
        given = [f"--env={key}={value}" for key, value in {**self.variables, **more}.items()]
        mounted = [f"--volume={volume}" for volume in self.volumes]
        options = ["--rm", f"--name={name}", "--network=host", *AS_A_POD, *mounted, *given]
        return ["podman", "run", *options, self.image, *words]

    def run(self, *words: str) -> str:
        """What a command prints in one."""
        command = self.command(f"once-{secrets.token_hex(4)}", *words)
        done = subprocess.run(command, env=self.podman, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make_database(self) -> None:
        """Make Airflow's tables and the account, as the chart's job and a person do."""
        self.run("bash", "-c", "exec airflow db migrate")
        name, password = ACCOUNT
        given = {"username": name, "password": password, "email": "a@example.invalid"}
        options = [f"--{key}={text}" for key, text in {**given, "firstname": "A", "lastname": "A"}.items()]
        self.run("airflow", "users", "create", "--role=Admin", *options)

    def start(self, part: str, *options: str, **more: str) -> None:
        """Start a part of Airflow as the chart does."""
        command = self.command(part, "bash", "-c", " ".join(["exec airflow", part, *options]), **more)
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


def variables_of(url: str, port: int, configured: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What the chart gives every part: its configuration, by sections, its database, keys, and where the API server is.

    The API server is on a port of loopback here.
    """
    return {
        **{
            f"AIRFLOW__{section.upper()}__{name.upper()}": text
            for section, content in configured.items()
            for name, text in content.items()
        },
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
    }
