"""Log files of containers as a node has them: of the service, of the monitor's commands and of Airflow."""

import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
import numpy as np

from ontime.common.files import read_json
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.manifest import GOLDEN
from ontime.model_deployment.inference.prediction_log import RequestLine
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings
from ontime.model_deployment.service.trace_context import NO_TRACE, Trace
from tests.live import live
from tests.planted import KINDS, planted

CUT_BYTES = 16 * 1024
"""Longer lines are written in parts by a container runtime."""
MONITOR = [
    "# Inputs of 2026-03-01: no alarm",
    "| feature | population stability index | limit |",
    "|---|---|---|",
    "| temp | 0.021 | 0.184 |",
    "error: predictions: has no predictions of 2026-03-01",
]
AIRFLOW = [
    '{"timestamp":"2026-03-01T10:00:00.078443Z","level":"info","event":"Task instance state updated",'
    '"dag_id":"training","run_id":"asset__NUMBER","task_id":"prepare","try_number":1,"logger":"airflow.task","filename":"task.py"}',
    '{"timestamp":"2026-03-01T10:00:00.078903Z","level":"error","event":"Task failed with exception",'
    '"dag_id":"training","run_id":"asset__NUMBER","task_id":"train","logger":"airflow.task","filename":"task.py","lineno":7,"exception":'
    '[{"exc_type":"CalledProcessError","exc_value":"status 1","frames":[{"filename":"task.py","lineno":6}]}]}',
    "2026-03-01T10:00:00.460169Z [info     ] Task instance state updated [airflow.task] loc=task.py:4 run_id=NUMBER",
    "2026-03-01T10:00:00.460555Z [warning  ] slow NUMBER                 [airflow.task] loc=task.py:5",
]
REFUSED = '{"event":"request","request_id":"refused-NUMBER","log":"a text where others have an object"}'
"""A line whose fields no index of the logs can have."""


@dataclass
class Container:
    """One container's log file below a folder, as the kubelet writes and rotates it (CRI)."""

    pods: Path
    namespace: str
    name: str
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    rotations: int = 0

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.pods / f"{self.namespace}_{self.name}-0_{self.uid}" / self.name

    def write(self, lines: list[tuple[int, str]], stream: str = "stdout") -> None:
        """Add lines with their times, in nanoseconds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = "".join(cri for at, line in lines for cri in _cri(at, line, stream))
        with (self.folder / "0.log").open("a") as output:
            output.write(content)

    def rotate(self) -> None:
        """Begin a new file, as the kubelet does when one is large."""
        self.rotations += 1
        (self.folder / "0.log").rename(self.folder / f"0.log.20260301-1000{self.rotations:02}")

    @property
    def files(self) -> list[Path]:
        """Its files."""
        return sorted(self.folder.glob("0.log*"))


def _cri(at: int, line: str, stream: str) -> Iterator[str]:
    parts = [line[start : start + CUT_BYTES] for start in range(0, len(line), CUT_BYTES)]
    for place, part in enumerate(parts):
        tag = "F" if place == len(parts) - 1 else "P"
        yield f"{stamp(at + place)} {stream} {tag} {part}\n"


def stamp(nanoseconds: int) -> str:
    """A time as a container runtime writes it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def service_lines(requests: int, seed: int) -> list[str]:
    """What the service writes for so many requests, by its own log: predictions of golden records, requests, errors."""
    model = load_champion(live("models/champion"))
    golden = read_json(live("models/champion") / GOLDEN)["records"]
    service = Service(model, Settings())
    rows = [msgspec.convert(one, service.records.record_type) for one in golden]
    draw = random.Random(seed)
    with tempfile.TemporaryFile() as output:
        service.log.descriptor = output.fileno()
        service.log.max_lines = 10 * requests + 100
        for number in range(requests):
            name = f"{seed}-{number}"
            trace = Trace(f"{draw.getrandbits(128) | 1:032x}", f"{draw.getrandbits(64) | 1:016x}")
            traced = trace if number % 2 else NO_TRACE
            asked = [rows[draw.randrange(len(rows))] for _ in range(draw.choice([1, 2, 3]))]
            probability = np.array([draw.random() for _ in asked], dtype=np.float32)
            status = draw.choices([200, 400, 503], [97, 2, 1])[0]
            if status == 200:
                service.log_predictions(name, traced, asked, probability)
            service.log.add(RequestLine(time.time_ns(), "request", name, "POST", "/v2/infer", status, 1.5, *traced))
        service.log.write("lines_lost", lines=3)
        service.log.write("error", logger="ontime", message="a request failed", traceback="Traceback\nValueError: x\n")
        service.log.flush()
        os.lseek(output.fileno(), 0, os.SEEK_SET)
        return output.read().decode().splitlines()


def planted_lines(number: int, seed: int) -> list[tuple[str, str]]:
    """So many lines with a secret, of each kind as often, and what is secret in each."""
    draw = random.Random(seed)
    kinds = [*KINDS]
    return [planted(kinds[place % len(kinds)], draw) for place in range(number)]


def other_lines(patterns: list[str], number: int) -> list[str]:
    """So many lines of the monitor's commands or of Airflow."""
    return [patterns[place % len(patterns)].replace("NUMBER", str(place)) for place in range(number)]


class Feed:
    """Lines spread over containers, each with a time of its own; `written` are the times of all lines so far."""

    def __init__(self, pods: Path, service: list[str], monitor: list[str], airflow: list[str]) -> None:
        self.containers = [
            Container(pods, "ontime-production", "ontime"),
            Container(pods, "airflow", "monitor"),
            Container(pods, "airflow", "scheduler"),
        ]
        lines = [
            (container, line)
            for container, group in zip(self.containers, (service, monitor, airflow), strict=True)
            for line in group
        ]
        random.Random(1).shuffle(lines)
        self._waiting = lines
        self._times = count(time.time_ns(), 1_000)
        self.written: set[str] = set()

    def write(self, number: int, at_once: int = 1_000, pause: float = 0.02) -> None:
        """Write the next lines."""
        for start in range(0, number, at_once):
            size = min(at_once, number - start)
            part, self._waiting = self._waiting[:size], self._waiting[size:]
            for container in self.containers:
                mine = [(next(self._times), line) for one, line in part if one is container]
                container.write(mine)
                self.written |= {stamp(at) for at, _ in mine}
            time.sleep(pause)

    @property
    def left(self) -> int:
        """Lines that are not written yet."""
        return len(self._waiting)
