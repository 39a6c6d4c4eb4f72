"""The servers as data, and one of them as a running process."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.serving import forms
from benchmarks.serving.environments import HERE, environment
from benchmarks.serving.forms import Form, Rows
from ontime.common import paths
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_training.scikit_learn_model import MODEL_FILE

ONTIME, LOGGED, EMPTY_ROUTE = "ontime", "ontime, prediction log on", "empty route"
SHADOWED = "ontime, second model beside it"
SKLEARN, ONNX, NOTHING = "scikit-learn", "ONNX session", "nothing"
START_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 120, 15, 60
SETTLE_SECONDS, MOST_IDLE_SECONDS = 0.2, 0.03
MOST_DIFFERENCE = 1e-5


@dataclass(frozen=True)
class Server:
    """What is started in which environment, and how it is asked.

    In `command` and `variables` stand `{bin}`, `{champion}`, `{work}` (the folder that is prepared for the
    environment) and the ports `{port}`, `{port2}` and `{port3}`.
    """

    name: str
    inside: str
    environment: str
    command: str
    forms: tuple[Form, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


SERVE = "{bin}/python -m ontime serve"
SERVE_VARIABLES = {
    "ONTIME_SERVICE_MODEL": "{champion}",
    "ONTIME_SERVICE_SIGNATURE": "{work}/champion.sig",
    "ONTIME_SERVICE_PUBLIC_KEY": "{work}/model.pub",
    "ONTIME_SERVICE_PORT": "{port}",
    "ONTIME_SERVICE_METRICS_PORT": "{port2}",
}
SERVE_AS_RIVALS = {**SERVE_VARIABLES, "ONTIME_SERVICE_PREDICTION_LOG_SHARE": "0"}
"""The access log stays on, as with rivals; left out is what they have not, a line for each row."""
SHADOW_VARIABLES = {
    **SERVE_VARIABLES,
    "ONTIME_SERVICE_SHADOW": "{champion}",
    "ONTIME_SERVICE_SHADOW_SIGNATURE": "{work}/champion.sig",
}
"""The prediction log on, and the same model again as the second one."""
EMPTY = "{bin}/python -m benchmarks.serving.rivals.empty_route {port}"
MLFLOW = "{bin}/mlflow models serve --host 127.0.0.1 --port {port} --workers 1 --env-manager local --model-uri {work}/"
MLSERVER = "{bin}/mlserver start {work}"
MLSERVER_VARIABLES = {
    "MLSERVER_HOST": "127.0.0.1",
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{port2}",
    "MLSERVER_METRICS_PORT": "{port3}",
    "MLSERVER_MODEL_NAME": "flight-delay",
}
MLSERVER_SKLEARN = {
    **MLSERVER_VARIABLES,
    "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
    "MLSERVER_MODEL_URI": "{work}/pipeline.joblib",
}
MLSERVER_ONNX = {
    **MLSERVER_VARIABLES,
    "MLSERVER_MODEL_IMPLEMENTATION": "benchmarks.serving.rivals.mlserver_onnx.OnnxModel",
}
BENTOML = "{bin}/bentoml serve --host 127.0.0.1 --port {port} benchmarks.serving.rivals.bentoml_services:"
KSERVE = "{bin}/python -m benchmarks.serving.rivals.kserve_server {port} "

OWN_FORMS = (forms.V1_RECORDS, forms.V2_TENSOR)
SERVERS = (
    Server(ONTIME, ONNX, "ontime", SERVE, OWN_FORMS, SERVE_AS_RIVALS),
    Server(LOGGED, ONNX, "ontime", SERVE, OWN_FORMS, SERVE_VARIABLES),
    Server(SHADOWED, ONNX, "ontime", SERVE, OWN_FORMS, SHADOW_VARIABLES),
    Server(EMPTY_ROUTE, NOTHING, "ontime", EMPTY, (forms.ANY_RECORDS, forms.ANY_TENSOR)),
    Server("MLflow", SKLEARN, "mlflow", MLFLOW + "sklearn", (forms.MLFLOW_RECORDS,)),
    Server("MLServer", SKLEARN, "mlserver", MLSERVER, (forms.MLSERVER_RECORDS,), MLSERVER_SKLEARN),
    Server("BentoML", SKLEARN, "bentoml", BENTOML + "Sklearn", (forms.BENTOML_RECORDS,)),
    Server("KServe SDK", SKLEARN, "kserve", KSERVE + "sklearn", (forms.V1_RECORDS,)),
    Server("MLflow", ONNX, "mlflow", MLFLOW + "onnx", (forms.MLFLOW_MATRIX,)),
    Server("MLServer", ONNX, "mlserver", MLSERVER, (forms.V2_TENSOR,), MLSERVER_ONNX),
    Server("BentoML", ONNX, "bentoml", BENTOML + "Onnx", (forms.BENTOML_MATRIX,)),
    Server("KServe SDK", ONNX, "kserve", KSERVE + "onnx", (forms.V2_TENSOR,)),
)
PREPARE = {
    "ontime": "-m ontime sign --new-key --model {champion} --signature {work}/champion.sig --key {work}/model.key",
    "mlflow": "-m benchmarks.serving.rivals.mlflow_models",
    "mlserver": "-m benchmarks.serving.rivals.pipeline",
    "bentoml": "-m benchmarks.serving.rivals.pipeline",
    "kserve": "-m benchmarks.serving.rivals.pipeline",
}
"""What each environment's Python runs once: it writes what its servers load into their work folder."""


@dataclass(frozen=True)
class Workplace:
    """Fills in the fields of commands and variables, and runs the environments' programs."""

    folder: Path
    source: Path
    """Folder of the package `ontime` that is measured."""

    def fill(self, name: str, text: str, ports: Mapping[str, int] | None = None) -> str:
        """Replace the fields of a text by an environment's paths and ports."""
        fields = {"champion": paths.CHAMPION.absolute(), "work": self.folder / name}
        return text.format(bin=environment(name) / "bin", **fields, **(ports or {}))

    def variables(self, name: str) -> dict[str, str]:
        """What every program of an environment finds in its own."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ONTIME_SERVICE_")}
        given = {
            "PATH": "{bin}:" + os.environ["PATH"],
            "PYTHONPATH": f"{self.source.absolute()}:{HERE.parent.parent}",
            "CHAMPION": "{champion}",
            "TRAINED": str(trained_model()),
            "WORK": "{work}",
            # one thread for every model: OpenMP's, which wait for each other by spinning, collapse on shared cores
            "OMP_NUM_THREADS": "1",
            "BENTOML_DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        return inherited | {key: self.fill(name, value) for key, value in given.items()}

    def prepare(self, name: str) -> None:
        """Write what an environment's servers load."""
        work = self.folder / name
        work.mkdir()
        command = [self.fill(name, part) for part in f"{{bin}}/python {PREPARE[name]}".split()]
        done = subprocess.run(command, cwd=work, env=self.variables(name), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: {PREPARE[name].split()[1]} failed:\n{done.stdout}{done.stderr}")

    @contextmanager
    def running(self, server: Server, rows: Rows) -> Iterator["Running"]:
        """The server from its first right answer on; its processes have ended when the block has."""
        ports = dict(zip(("port", "port2", "port3"), free_ports(3), strict=True))
        name, log = server.environment, self.folder / f"{server.name}, {server.inside}.log"
        variables = {key: self.fill(name, value, ports) for key, value in server.variables.items()}
        command = [self.fill(name, part, ports) for part in server.command.split()]
        started = time.perf_counter()
        with log.open("ab") as stream:
            process = subprocess.Popen(
                command,
                cwd=self.folder / name,
                env=self.variables(name) | variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        running = Running(server, psutil.Process(process.pid), ports["port"], log)
        try:
            running.wait_for_answer(started, rows)
            yield running
        finally:
            running.stop()
            process.wait()


@dataclass
class Running:
    """A server's processes, of which the first was started here; standard output and error are its log."""

    server: Server
    process: Any
    port: int
    log: Path
    start_seconds: float = 0.0

    def processes(self) -> list[Any]:
        """The first process and all that came of it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def cpu_seconds(self) -> float:
        """Processor time of all processes so far."""
        return sum(float(sum(process.cpu_times()[:2])) for process in self.processes())

    def rss_megabytes(self) -> float:
        """Resident memory of all processes."""
        return sum(float(process.memory_info().rss) for process in self.processes()) / 1e6

    def wait_for_answer(self, started: float, rows: Rows) -> None:
        """Ask until the answer is right."""
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = self.ask(self.server.forms[0], rows)
                if status == 200:
                    break
            if self.process.status() == psutil.STATUS_ZOMBIE or time.perf_counter() - started > START_SECONDS:
                raise self.failure("did not start")
            time.sleep(0.02)
        self.start_seconds = time.perf_counter() - started
        self.check(self.server.forms[0], rows, status, answer)

    def ask(self, form: Form, rows: Rows) -> tuple[int, bytes]:
        """Status and body of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", form.path, form.body(rows), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def check(self, form: Form, rows: Rows, status: int, answer: bytes) -> None:
        """End the benchmark unless an answer holds the released probabilities."""
        if status == 200 and form.read is None:
            return
        try:
            found = form.read(json.loads(answer)) if status == 200 and form.read else None
        except (ValueError, LookupError, TypeError):
            found = None
        if found is None or len(found) != len(rows.probabilities):
            raise self.failure(f"{form.path} answered {status} with {answer[:300]!r}")
        difference = max(abs(one - other) for one, other in zip(found, rows.probabilities, strict=True))
        if not difference <= MOST_DIFFERENCE:
            raise self.failure(f"{form.path}: probabilities differ by up to {difference:.1e}")

    def failure(self, reason: str) -> SystemExit:
        """The end of the benchmark: what is wrong, and the end of the log."""
        tail = self.log.read_bytes()[-3000:].decode(errors="replace")
        return SystemExit(f"{self.server.name}, {self.server.inside}: {reason}\n{tail}")

    def settle(self) -> None:
        """Wait until nothing of the last load is worked on, and empty the log."""
        before = -1.0
        while (now := self.cpu_seconds()) - before > MOST_IDLE_SECONDS:
            before = now
            time.sleep(SETTLE_SECONDS)
        os.truncate(self.log, 0)

    def stop(self) -> None:
        """Ask the first process to end, then end all that are left."""
        processes = self.processes()
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.terminate()
        _, left = psutil.wait_procs(processes, timeout=STOP_SECONDS)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def trained_model() -> Path:
    """The champion as scikit-learn saved it."""
    family = read_manifest(paths.CHAMPION).model
    path = paths.training_run(family).absolute() / "model" / MODEL_FILE
    if not path.is_file():
        raise SystemExit(f"{path}: not found; run `dvc repro`, and note that the rivals serve scikit-learn's families")
    return path
