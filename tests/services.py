"""The service as a process of its own, for tests that talk to it."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.checkouts import TOP, environment

START_SECONDS = 60


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


def start(signed: Path, log: Path, **variables: str) -> Running:
    """Start the service on free ports and wait until it says that it is ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ontime", "serve"],
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
