"""The service as a process of its own, for tests that talk to it."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontime.common.files import read_json, sha256
from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion, open_session
from ontime.model_deployment.inference.manifest import GOLDEN, MANIFEST, MODEL, VOCABULARY, read_manifest
from ontime.model_deployment.inference.signing import sign
from ontime.tasks.answers import BinaryAnswer
from tests.checkouts import TOP, environment

START_SECONDS, STOP_SECONDS = 60, 20


@dataclass(frozen=True)
class Running:
    """A service that runs: its process and its ports."""

    process: "subprocess.Popen[bytes]"
    port: int
    metrics_port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def memory_mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def service_variables(signed: Path, **variables: str) -> dict[str, str]:
    """The environment of a service on free ports; `variables` are its settings by their names."""
    settings = {
        "MODEL": str(signed / "model"),
        "SIGNATURE": str(signed / "model.sig"),
        "PUBLIC_KEY": str(signed / "model.pub"),
        "PORT": "0",
        "METRICS_PORT": "0",
        "MODEL_VERSION": "1.2.3",
        **variables,
    }
    return environment(**{f"ONTIME_SERVICE_{name}": value for name, value in settings.items()})


def start(signed: Path, log: Path, before: Sequence[str] = (), **variables: str) -> Running:
    """Start the service on free ports, by a program `before` it if any, and wait until it says that it is ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "ontime", "serve"],
            env=service_variables(signed, **variables),
            stdout=output,
            stderr=output,
            cwd=TOP,
        )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"event":"ready"' in line:
                ready = json.loads(line)
                return Running(process, ready["port"], ready["metrics_port"], log)
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the service did not start: {log.read_text()}")


@contextmanager
def serving(signed: Path, log: Path, **variables: str) -> Iterator[Running]:
    """The service for as long as a block runs; it ends with status 0."""
    running = start(signed, log, **variables)
    try:
        yield running
    finally:
        running.process.terminate()
        assert running.process.wait(timeout=STOP_SECONDS) == 0


def log_lines(printed: str, event: str) -> list[dict[str, Any]]:
    """The log's objects of one event."""
    return [content for content in map(json.loads, printed.splitlines()) if content["event"] == event]


def threshold_of(model: Champion) -> float:
    """The threshold of a model of an event."""
    assert isinstance(model.answer, BinaryAnswer)
    return model.answer.threshold


def make_second(signed: Path, folder: Path) -> Path:
    """A second version of a signed model, signed by the same key: of its depots it knows `west` instead of `east`."""
    shutil.copytree(signed / "model", folder)
    vocabulary, golden, content = (read_json(folder / name) for name in (VOCABULARY, GOLDEN, MANIFEST))
    vocabulary["categories"]["depot"] = ["south", "west", "north"]
    encoder, manifest = Encoder.from_vocabulary(vocabulary), read_manifest(folder)
    columns = {name: [record[name] for record in golden["records"]] for name in encoder.features}
    session = open_session(folder / MODEL, 1)
    (probability,) = session.run([manifest.output], {manifest.input: encoder.transform(columns)})
    golden["probabilities"] = np.asarray(probability).tolist()
    for name, changed in ((VOCABULARY, vocabulary), (GOLDEN, golden)):
        (folder / name).write_text(json.dumps(changed))
        content["files"][name] = {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(content))
    sign(folder, folder.with_name(f"{folder.name}.sig"), signed / "model.key")
    return folder
