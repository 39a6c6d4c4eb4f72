"""A log that is compacted and watched with kill -9 at any moment ends with the same bytes."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ontime.monitoring.log import compacted
from tests.checkouts import TOP

pytestmark = pytest.mark.rehearsal
KILLS = 50
DAYS = [f"2024-03-{day:02d}" for day in range(1, 11)]
ROWS = 3_000


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
    with log.open("rb") as lines:
        started = time.monotonic()
        compacted(lines, str(tmp_path / "expected"))
        seconds = time.monotonic() - started
    drawn, alive = random.Random(2), 0
    for _ in range(KILLS):
        # so that each process has something to write
        for path in sorted((tmp_path / "found").rglob("*.parquet")):
            if drawn.random() < 0.5:
                path.unlink()
        process = subprocess.Popen(
            [sys.executable, "-m", "ontime", "log", "compact", str(log), str(tmp_path / "found")], cwd=TOP
        )
        # a process needs about a second to begin
        time.sleep(drawn.uniform(0.5, 1 + seconds))
        alive += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert alive > KILLS // 3
    with log.open("rb") as lines:
        compacted(lines, str(tmp_path / "found"))
    expected, found = (
        {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*.parquet")) if path.is_file()}
        for top in (tmp_path / "expected", tmp_path / "found")
    )
    assert found == expected
    assert len(found) == 3 * len(DAYS)
