"""What benchmarks share: a function measured in a process of its own, a table, and the last line printed."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a task, peak resident MiB of its process (not of processes it started), and its result.

    `cpu_seconds` counts the processes that it started and the start of Python, and varies less on a busy machine.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    result: Any


def measure(module: str, task: str, *arguments: Any, env: Mapping[str, str] | None = None) -> Measured:
    """Run `task` of `module` in a new process; the module hands its command line to `run_task`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.run(
        [sys.executable, "-m", module, task, json.dumps(arguments)],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(cpu_seconds=cpu_seconds, **json.loads(child.stdout.splitlines()[-1]))


def run_task(tasks: Mapping[str, Callable[..., Any]], command_line: Sequence[str]) -> None:
    """In the child: call the task that the command line names and print what `measure` reads."""
    task, arguments = command_line
    started = time.perf_counter()
    result = tasks[task](*json.loads(arguments))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), "result": result}))


def peak_mib() -> float:
    """Peak resident MiB of this process; `ru_maxrss` has that of the process which started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell, the first one left-aligned."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]), flush=True)


def finish(figure: Any, goal: Any, ok: bool) -> NoReturn:
    """Print the result as the last line, one JSON object, and exit with status 1 if the goal is missed."""
    print(json.dumps({"figure": figure, "goal": goal, "ok": ok}))
    sys.exit(0 if ok else 1)
