"""The collector and the writer beside it, as `argocd/platform/opentelemetry_collector.yaml` starts them."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ontime.common.files import replacing, sha256
from ontime.manifests.schemas import GO_TOOLCHAIN, Definitions
from ontime.manifests.tools import CACHE, last_line, one_at_a_time
from tests.checkouts import TOP
from tests.go_programs import TOP_FOLDER, find_program
from tests.servers import START_SECONDS, free_port

APPLICATION = TOP / "argocd" / "platform" / "opentelemetry_collector.yaml"
BUILDER = Definitions("go.opentelemetry.io/collector/cmd/builder", "v0.165.0", TOP_FOLDER)
PARTS = Path(__file__).parent / "builder.yaml"
WRITER = TOP / "deployment" / "kubernetes" / "logging" / "writer.py"


def chart_values() -> dict[str, Any]:
    """The values of the chart."""
    application = yaml.safe_load(APPLICATION.read_text(encoding="utf-8"))
    values: dict[str, Any] = application["spec"]["source"]["helm"]["valuesObject"]
    return values


def writer_module() -> Any:
    """The program of the container `writer`, as a module."""
    specification = importlib.util.spec_from_file_location("writer", WRITER)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def find_collector() -> str:
    """Path of the collector, built once of the components that `builder.yaml` lists; skips where it cannot be."""
    return str(_built(find_program(BUILDER, installed=False)))


@one_at_a_time
def _built(builder: str) -> Path:
    path = CACHE / f"otelcol-{sha256(PARTS)[:16]}"
    if path.is_file():
        return path
    with tempfile.TemporaryDirectory(prefix="ontime-build-") as folder, replacing(path) as temporary:
        content = yaml.safe_load(PARTS.read_text())
        content["dist"]["output_path"] = folder
        file = Path(folder, "builder.yaml")
        file.write_text(yaml.safe_dump(content))
        done = subprocess.run(
            [builder, "--config", file],
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": GO_TOOLCHAIN},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"the collector was not built: {last_line(done)}")
        Path(folder, content["dist"]["name"]).replace(temporary)
    return path


@dataclass
class Collector:
    """A collector of the log files below `folder/pods`, which can be killed and started again.

    Only addresses, folders and the size of its queue, in bytes, differ from the chart's.
    """

    folder: Path
    writer_port: int
    queue_size: int
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    most_memory_mib: float = 0

    @property
    def queue(self) -> Path:
        """The folder of its queue, and of the places up to which files were read."""
        return self.folder / "queue"

    def start(self) -> None:
        """Start it and wait until it reads."""
        self.queue.mkdir(parents=True, exist_ok=True)
        values = chart_values()
        changes = {
            "extensions": {
                "health_check": {"endpoint": f"127.0.0.1:{self.port}"},
                "file_storage": {"directory": str(self.queue), "compaction": {"directory": str(self.queue)}},
            },
            "receivers": {
                "file_log": {"include": [f"{self.folder}/pods/*/*/*.log", f"{self.folder}/pods/*/*/*.log.*"]}
            },
            "exporters": {
                "otlp_http/writer": {
                    "logs_endpoint": f"http://127.0.0.1:{self.writer_port}/v1/logs",
                    "sending_queue": {"queue_size": self.queue_size},
                }
            },
        }
        files = []
        for name, content in (("chart", values["alternateConfig"]), ("changes", changes)):
            file = self.folder / f"{name}.yaml"
            file.write_text(yaml.safe_dump(content))
            files.append(f"--config={file}")
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [find_collector(), *files, *values["command"]["extraArgs"]],
                stdout=output,
                stderr=output,
                env={**os.environ, "MY_POD_IP": "127.0.0.1"},
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.output()[-2000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill it at once, as a node's failure would."""
        if self.process is not None:
            self.watch()
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def watch(self) -> None:
        """Remember the most memory that it has had."""
        if self.process is not None and self.process.poll() is None:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.most_memory_mib = max(self.most_memory_mib, int(status.split("VmHWM:")[1].split()[0]) / 1024)

    def output(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def queue_bytes(self) -> int:
        """What its queue has on disk."""
        return sum(path.stat().st_size for path in self.queue.glob("exporter_*") if path.is_file())


@dataclass
class Writer:
    """The program of the container `writer`; its output is counts, a line for each request."""

    store: str
    output: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, WRITER, str(self.port)],
                stdout=output,
                stderr=output,
                env={**os.environ, "OPENSEARCH_ADDRESS": self.store},
            )

    def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def collecting(folder: Path, store: str, queue_size: int) -> Iterator[tuple[Collector, Writer]]:
    """A collector and its writer to a store, for as long as the block runs."""
    writer = Writer(store, folder / "writer")
    collector = Collector(folder, writer.port, queue_size)
    try:
        writer.start()
        collector.start()
        yield collector, writer
    finally:
        collector.kill()
        writer.kill()
