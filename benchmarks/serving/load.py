"""One run of wrk: so many connections post one body again and again."""

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.environments import HERE

TIMEOUT = "60s"


@dataclass(frozen=True)
class Load:
    """Requests answered per second, and the latency in milliseconds that half and 99 % of them stay below.

    `cpu` is the processor time of the server's processes in milliseconds per request; it varies less on a busy machine.
    """

    rate: float
    p50: float
    p99: float
    cpu: float = math.nan


def run_wrk(port: int, path: str, body: Path, connections: int, seconds: int) -> Load:
    """Load a server of the loopback interface; a request that fails ends the benchmark."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk: not found; it is the Debian package wrk")
    url = f"http://127.0.0.1:{port}{path}"
    options = [f"--threads=1 --connections={connections} --duration={seconds}s --timeout={TIMEOUT}"]
    command = ["wrk", *" ".join(options).split(), "--script", str(HERE / "post.lua"), url, "--", str(body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"wrk: {done.stdout}{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"]:
        raise SystemExit(f"{url}, {connections} connections: {found['failed']} of {found['requests']} requests failed")
    if not found["requests"]:
        return Load(0.0, math.inf, math.inf)
    return Load(found["requests"] / found["microseconds"] * 1e6, found["p50"] / 1e3, found["p99"] / 1e3)
