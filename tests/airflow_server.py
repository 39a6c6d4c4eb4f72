"""A real Airflow for tests: the project's DAGs on loopback, started as a person starts it and asked by its API."""

import functools
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.checkouts import BIN, TOP, environment
from tests.servers import free_port

START_SECONDS = 300
ANSWER_SECONDS = 300
"""For a request, where many others share the processors."""
DAGS = ("training", "monitoring")
ENDED = {"success", "failed"}
AROUND = {"prepare", "keep", "report", "propose", "announce", "remove"}
"""The tasks of `training` that are no stages."""
PROGRAMS = TOP / ".airflow" / "bin"


def make_environment() -> None:
    """Airflow's own environment, by its lock."""
    # the tests run in .venv: it is not made again under them
    subprocess.run(["make", "--old-file=.venv/.ready", "setup-airflow"], cwd=TOP, check=True, capture_output=True)


@dataclass(frozen=True)
class Airflow:
    """A running Airflow."""

    address: str
    home: Path
    checkout: Path
    process: "subprocess.Popen[bytes]"

    @functools.cached_property
    def token(self) -> str:
        """What proves who asks; Airflow made the password when it first started."""
        username, password = self.account
        token: str = self._ask("/auth/token", {"username": username, "password": password})["access_token"]
        return token

    def call(self, path: str, content: Mapping[str, Any] | None = None, method: str | None = None) -> Any:
        """The answer of the API to a request."""
        return self._ask(f"/api/v2/{path}", content, method, Authorization=f"Bearer {self.token}")

    def event(self, asset: str, **extra: Any) -> None:
        """Report an event of an asset, as the web hook of an alert or of a forge would."""
        self.call("assets/events", {"asset_id": self._asset(asset), "extra": extra})

    def events(self, asset: str) -> list[dict[str, Any]]:
        """The events of an asset, the oldest first."""
        # asked for all events, Airflow 3.3 answers 500 while a run that one of them started has no start yet
        path = f"assets/events?asset_id={self._asset(asset)}&limit=100&order_by=timestamp"
        found: list[dict[str, Any]] = self.call(path)["asset_events"]
        return found

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the oldest first."""
        found: list[dict[str, Any]] = self.call(f"dags/{dag}/dagRuns?order_by=run_after&limit=100")["dag_runs"]
        return found

    def tasks(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The tasks of a run by name."""
        path = f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/taskInstances?limit=100"
        return {one["task_id"]: one for one in self.call(path)["task_instances"]}

    def stages(self, run: Mapping[str, Any]) -> dict[str, str]:
        """Whether the task of each stage in a run of `training` ran its stage."""
        return {name: self.returned(run, name) for name in self.tasks(run) if name not in AROUND}

    def returned(self, run: Mapping[str, Any], task: str) -> Any:
        """What a task returned."""
        path = f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/taskInstances/{task}/xcomEntries/return_value"
        return self.call(path)["value"]

    def log(self, run: Mapping[str, Any], task: str, attempt: int = 1) -> str:
        """What a task printed, and the errors that ended it."""
        path = f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/taskInstances/{task}/logs/{attempt}"
        lines = self.call(path)["content"]
        errors = [one["exc_value"] for line in lines for one in line.get("error_detail") or ()]
        return "\n".join([*(str(line.get("event", "")) for line in lines), *errors])

    def new_run(self, dag: str, known: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """The first run that is not among the known ones."""
        names = {run["dag_run_id"] for run in known}
        found = self.wait(lambda: [run for run in self.runs(dag) if run["dag_run_id"] not in names], seconds)
        run: dict[str, Any] = found[0]
        return run

    def ended(self, run: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The run once it has ended."""
        path = f"dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}"

        def state() -> Any:
            found = self.call(path)
            return found if found["state"] in ENDED else None

        done: dict[str, Any] = self.wait(state, seconds)
        return done

    def wait(self, condition: Callable[[], Any], seconds: float) -> Any:
        """What a condition gives as soon as it gives something."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, "Airflow ended"
            assert time.monotonic() < end, f"not in {seconds} s"
            time.sleep(0.5)
        return found

    def command(self, *words: str) -> str:
        """What a command of Airflow prints."""
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.checkout / "pipelines"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(self.checkout),
        }
        done = subprocess.run(
            [PROGRAMS / "airflow", *words],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def account(self) -> tuple[str, str]:
        """Name and password of the account that Airflow made."""
        content = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        ((name, password),) = content.items()
        return name, password

    def _asset(self, name: str) -> int:
        (found,) = [one for one in self.call("assets?only_active=false&limit=100")["assets"] if one["name"] == name]
        return int(found["id"])

    def _ask(
        self, path: str, content: Mapping[str, Any] | None = None, method: str | None = None, **headers: str
    ) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.address + path, body, {"Content-Type": "application/json", "Accept": "application/json", **headers}
        )
        request.method = method or request.get_method()
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - loopback
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:500]!r}") from None


def connections(**secrets: str) -> dict[str, str]:
    """Connections as variables of Airflow."""
    return {name: json.dumps({"conn_type": "generic", "password": secret}) for name, secret in secrets.items()}


@contextmanager
def airflow_server(checkout: Path, folder: Path, **variables: str) -> Iterator[Airflow]:
    """Airflow with the DAGs of a checkout, until the block ends; its home and the runs' clones are in a folder."""
    folder.mkdir()
    port, home = free_port(), folder / "home"
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__PORT": str(port),
        "ONTIME_RUNS": str(folder / "runs"),
        "ONTIME_PROGRAMS": str(BIN),
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
    }
    with (folder / "airflow.log").open("wb") as log:
        process = subprocess.Popen(
            ["nice", "-n", "5", "bash", str(checkout / "pipelines" / "start.sh")],
            env={**environment(), **own, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    made = Airflow(f"http://127.0.0.1:{port}", home, checkout, process)

    def ready() -> bool:
        try:
            known = {one["dag_id"] for one in made.call("dags")["dags"]}
        except (OSError, KeyError):
            return False
        return set(DAGS) <= known

    try:
        made.wait(ready, START_SECONDS)
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
