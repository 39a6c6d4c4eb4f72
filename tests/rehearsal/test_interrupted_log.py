"""A log that is compacted and watched with kill -9 at any moment ends with the same bytes."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ontime.monitoring.days import ALARM
from ontime.monitoring.log import compacted
from tests.checkouts import TOP
from tests.monitored import OPTIONS, encoded, make_monitored, sound_lines

pytestmark = pytest.mark.rehearsal
KILLS = 50
DAYS = [f"2024-03-{day:02d}" for day in range(1, 11)]
ROWS = 3_000


def kill_at_random_moments(command: list[str], folder: Path, output: Path, seconds: float) -> None:
    """Start a command again and again and kill it within so many seconds, each time with some of its files removed."""
    drawn, alive = random.Random(2), 0
    for _ in range(KILLS):
        # so that each process has something to write
        for path in files(output):
            if drawn.random() < 0.5:
                (output / path).unlink()
        process = subprocess.Popen([sys.executable, "-m", "ontime", *command], cwd=folder, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        try:
            process.wait(drawn.uniform(0.5 * seconds, seconds))
            # a busy machine may have been slow before
            seconds = min(seconds, time.monotonic() - started)
        except subprocess.TimeoutExpired:
            alive += 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert alive > KILLS // 3


def files(top: Path) -> dict[str, bytes]:
    """The whole files below a folder; what an interrupted run began is hidden."""
    paths = (path for path in sorted(top.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(top)): path.read_bytes() for path in paths}


def run(command: list[str], folder: Path, status: int) -> float:
    """Run a command, which must end with this status, and return the seconds that it took."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ontime", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return time.monotonic() - started


def test_fifty_kills_of_compaction_lose_and_double_no_line(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("w") as stream:
        for number in range(ROWS * len(DAYS)):
            content = {
                "time": f"{DAYS[number % len(DAYS)]}T10:00:00.000+00:00",
                "event": "prediction",
                "request_id": str(number),
                "row": 0,
                "model": "parcels",
                "model_version": f"1.{number % 3}.0",
                "probability": 0.5,
                "decision": True,
                "features": {f"number{place}": number + place for place in range(20)},
            }
            stream.write(json.dumps(content) + "\n")
    command = ["log", "compact", str(log)]
    seconds = run([*command, str(tmp_path / "expected")], TOP, 0)
    kill_at_random_moments([*command, str(tmp_path / "found")], TOP, tmp_path / "found", seconds)
    run([*command, str(tmp_path / "found")], TOP, 0)
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    assert len(files(tmp_path / "found")) == 3 * len(DAYS)


@pytest.mark.parametrize("check", ["inputs", "replay", "skew"])
def test_fifty_kills_of_a_check_leave_the_bytes_of_an_uninterrupted_run(tmp_path: Path, fork: Path, check: str) -> None:
    monitored = make_monitored(tmp_path, fork, sound_lines(fork))
    wrong = {"probability": 0.999, "features": {**monitored.lines[0]["features"], "depot": "overseas"}}
    lines = [
        line | {"time": f"{day}T10:00:00.000+00:00"} | (wrong if place % 9 == 0 and day == DAYS[-1] else {})
        for day in DAYS
        for place, line in enumerate(monitored.lines)
    ]
    compacted(encoded(lines), str(tmp_path / "log"))
    command = ["monitor", check, DAYS[-1], "--log", "log", *OPTIONS, "--output"]
    seconds = run([*command, "expected"], tmp_path, ALARM)
    kill_at_random_moments([*command, "found"], tmp_path, tmp_path / "found", seconds)
    run([*command, "found"], tmp_path, ALARM)
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    assert len(files(tmp_path / "found")) == (len(DAYS) if check == "inputs" else 1) + 1
