"""A standalone Spark cluster on loopback whose workers know nothing of a checkout."""

import contextlib
import os
import secrets
import site
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.checkouts import environment
from tests.servers import free_port

START_SECONDS = 120
LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_MASTER_HOST": "127.0.0.1"}
QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}


@dataclass
class Cluster:
    """A master and its workers, by their folders; `python` is what the workers run."""

    folder: Path
    master: str
    python: Path
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def driver(self, **changes: str) -> dict[str, str]:
        """The environment of a command that uses the cluster."""
        spark = {
            "PYSPARK_PYTHON": str(self.python),
            "PYSPARK_SUBMIT_ARGS": f"--master {self.master} pyspark-shell",
            "SPARK_CONF_DIR": str(self.folder / "conf"),
        }
        return environment(**{**LOOPBACK, **spark, **changes})

    def start_worker(self, name: str, **variables: str) -> None:
        """Start a worker of one core in a folder of its own, with these variables and no others of this process."""
        folder = self.folder / name
        folder.mkdir()
        places = {"HOME": str(folder), "SPARK_LOCAL_DIRS": str(folder / "local")}
        options = ("--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "1g", "--work-dir", "work")
        self.workers[name] = _start(self.folder, folder, "worker.Worker", *options, self.master, **places, **variables)
        _wait_for(
            self.folder / "master" / "log", f"worker {len(self.workers)}", "Registering worker", len(self.workers)
        )

    def applications(self) -> set[str]:
        """What has run on a worker."""
        return {path.name for name in self.workers for path in (self.folder / name / "work").glob("app-*")}

    def kill_worker(self, name: str) -> list[str]:
        """Kill a worker with all that it has started, as when its machine is lost; the command line of each."""
        process = self.workers[name]
        children = psutil.Process(process.pid).children(recursive=True)
        commands = []
        for child in children:
            # a task's process may have ended meanwhile
            with contextlib.suppress(psutil.Error):
                commands.append(" ".join(child.cmdline()))
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.wait()
        return commands


@contextlib.contextmanager
def spark_cluster(folder: Path) -> Iterator[Cluster]:
    """A master without workers, for who knows its secret; all is stopped at the end."""
    import pyspark

    secret = {"spark.authenticate": "true", "spark.authenticate.secret": secrets.token_urlsafe(30)}
    settings = {**QUIET, **secret, "spark.network.crypto.enabled": "true"}
    (folder / "conf").mkdir()
    (folder / "conf" / "spark-defaults.conf").write_text("".join(f"{name} {settings[name]}\n" for name in settings))
    (folder / "spark").symlink_to(Path(pyspark.__file__).parent)
    port = free_port()
    cluster = Cluster(folder, f"spark://127.0.0.1:{port}", _python(folder / "python"))
    (folder / "master").mkdir()
    options = ("--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
    master = _start(folder, folder / "master", "master.Master", *options, HOME=str(folder / "master"))
    try:
        _wait_for(folder / "master" / "log", "master", "I have been elected leader", 1)
        yield cluster
    finally:
        for name, process in cluster.workers.items():
            if process.poll() is None:
                cluster.kill_worker(name)
        master.kill()
        master.wait()


def _python(folder: Path) -> Path:
    """A Python with the packages of this one, but for `ontime`: an editable package's path is not read from there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = (folder / "lib").glob("python3*/site-packages")
    (packages / "packages.pth").write_text(f"{site.getsitepackages()[0]}\n")
    return folder / "bin" / "python"


def _start(top: Path, folder: Path, name: str, *options: str, **variables: str) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [top / "spark" / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *options],
            cwd=folder,
            env={
                "PATH": os.defpath,
                "SPARK_HOME": str(top / "spark"),
                "SPARK_CONF_DIR": str(top / "conf"),
                **LOOPBACK,
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_for(log: Path, what: str, text: str, times: int) -> None:
    end = time.monotonic() + START_SECONDS
    while log.read_text(errors="replace").count(text) < times:
        assert time.monotonic() < end, f"{what} did not start:\n{log.read_text(errors='replace')[-3000:]}"
        time.sleep(0.2)


def variables_of(state: Mapping[str, object]) -> dict[str, str]:
    """A worker's own credentials for the S3 server of a state."""
    return {f"AWS_{name.upper()}": str(state[name]) for name in ("access_key_id", "secret_access_key")}
