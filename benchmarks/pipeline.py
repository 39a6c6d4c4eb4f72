"""A cold `dvc repro` against the same stage functions called in one process, and each stage's peak memory.

`python -m benchmarks.pipeline`. In: the checkout as git sees it, copied for each run, and the stages of dvc.lock.
Both runs have the environment of `ontime`, no MLflow, and must leave the same bytes. Before each, the packages are
imported once, so that neither waits for a disk where the other finds them in memory.
"""

import argparse
import importlib
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import finish, measure, print_table, run_task
from ontime import cli
from ontime.common.environment import PINNED
from ontime.common.files import sha256
from ontime.model_training.families import FAMILIES
from ontime.repository.dvc import dvc
from ontime.repository.lock_file import LOCK, read_lock
from ontime.verification.graph import copy_checkout

MOST_TIMES_ONE_PROCESS = 1.3
IN_ONE_PROCESS, BY_DVC = "one process", "dvc repro"
SHIM = """#!{python} -IS
import os, sys, time
started = time.perf_counter()
child = os.posix_spawn({ontime!r}, [{ontime!r}, *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(child, 0)
with open({log!r}, "a") as stream:
    print(time.perf_counter() - started, usage.ru_maxrss / 1024, "ontime", *sys.argv[1:], file=stream)
sys.exit(1 if status else 0)
"""
"""The `ontime` that dvc finds first: starts the real one and notes its seconds and the MiB of its largest process."""


@dataclass(frozen=True)
class Run:
    """Wall and processor seconds of the whole graph, and (wall seconds, peak MiB) by stage command.

    Where all stages share a process, each has the peak of the whole run.
    """

    seconds: float
    cpu_seconds: float
    stages: Mapping[str, tuple[float, float]]


def call_stages(copy: str, commands: Sequence[str]) -> dict[str, float]:
    """Call the function behind each command in turn; seconds by command."""
    os.chdir(copy)
    seconds = {}
    for command in commands:
        started = time.perf_counter()
        name, *arguments = command.split()[1:]
        importlib.import_module(cli.STAGES[name]).command.callback(*arguments)
        seconds[command] = time.perf_counter() - started
    return seconds


def import_packages() -> None:
    """Import what the stages do."""
    families = (f"ontime.model_training.{name}" for name in (*FAMILIES["binary"], "keras_model"))
    for module in (*cli.STAGES.values(), *families, "sklearn.ensemble", "sklearn.linear_model", "dvc.repo"):
        importlib.import_module(module)


def in_one_process(copy: Path, commands: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run the graph without dvc, in a process that has the variables that `ontime` gives itself."""
    done = measure("benchmarks.pipeline", "call_stages", str(copy), commands, env={**env, **PINNED})
    return Run(
        done.seconds,
        done.cpu_seconds,
        {command: (seconds, done.peak_mib) for command, seconds in done.result.items()},
    )


def by_dvc(copy: Path, commands: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run the graph by `dvc repro`."""
    ontime = shutil.which("ontime")
    if ontime is None:
        sys.exit("ontime: not found on PATH; run `make setup`")
    log, shim = copy.parent / "stages.txt", copy.parent / "bin" / "ontime"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable, ontime=ontime, log=str(log)), encoding="utf-8")
    shim.chmod(0o755)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    dvc("repro", "--quiet", folder=copy, variables={**env, "PATH": f"{shim.parent}:{os.environ['PATH']}"})
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line.split(maxsplit=2) for line in log.read_text(encoding="utf-8").splitlines()]
    if sorted(command for _, _, command in lines) != sorted(commands):
        sys.exit(f"dvc repro: ran {len(lines)} stages, {LOCK} has {len(commands)}; run `dvc repro` first")
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu_seconds, {command: (float(wall), float(peak_mib)) for wall, peak_mib, command in lines})


WAYS = {BY_DVC: by_dvc, IN_ONE_PROCESS: in_one_process}


def run_in_fresh_copy(way: str, work: Path, locked: Mapping[str, Any]) -> tuple[Run, dict[str, str]]:
    """Run the graph one way in a new copy without cache; what it took, and SHA-256 by file that it wrote."""
    copy, home = work / "checkout", work / "home"
    copy_checkout(Path.cwd(), copy, [], {})
    home.mkdir()
    env = {
        **{f"DVC_{place}_DIR": str(home / place) for place in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")},
        "DVC_NO_ANALYTICS": "1",
        "HOME": str(home),
        "PYTHONPATH": str(copy / "src"),
    }
    measure("benchmarks.pipeline", "import_packages", env=PINNED)
    run = WAYS[way](copy, [stage["cmd"] for stage in locked.values()], env)
    outputs = [copy / out["path"] for stage in locked.values() for out in stage["outs"]]
    files = [file for path in outputs for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    hashes = {str(file.relative_to(copy)): sha256(file) for file in files}
    shutil.rmtree(work)
    return run, hashes


def quickest(runs: Sequence[Run]) -> Run:
    """The least that each stage took, and that the rest took: what else a machine does only adds."""
    stages = {
        command: (min(run.stages[command][0] for run in runs), max(run.stages[command][1] for run in runs))
        for command in runs[0].stages
    }
    rest = min(run.seconds - sum(seconds for seconds, _ in run.stages.values()) for run in runs)
    seconds = rest + sum(seconds for seconds, _ in stages.values())
    return Run(seconds, min(run.cpu_seconds for run in runs), stages)


def stage_table(locked: Mapping[str, Any], dvc: Run, one: Run) -> list[list[str]]:
    """Lines of seconds and memory by stage, and their sums."""
    commands = {name: stage["cmd"] for name, stage in locked.items()}
    table = [
        [name, f"{dvc.stages[command][0]:.1f}", f"{dvc.stages[command][1]:,.0f}", f"{one.stages[command][0]:.1f}"]
        for name, command in commands.items()
    ]
    in_stages = sum(seconds for seconds, _ in dvc.stages.values())
    table.append(["dvc itself", f"{dvc.seconds - in_stages:.1f}", "", ""])
    table.append(["all", f"{dvc.seconds:.1f}", "", f"{one.seconds:.1f}"])
    return table


def main() -> None:
    """Run both ways in turn, print the table, and the verdict."""
    parser = argparse.ArgumentParser(description="a cold dvc repro against the same functions in one process")
    parser.add_argument("--rounds", type=int, default=2, help="how often; the order of the two is turned each time")
    rounds = parser.parse_args().rounds
    locked = read_lock(LOCK)
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    first: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="ontime-pipeline-") as temporary:
        for number in range(rounds):
            order = list(WAYS) if number % 2 == 0 else list(reversed(WAYS))
            print(f"round {number + 1}, {order[0]} first, load average {os.getloadavg()[0]:.1f} before", flush=True)
            for way in order:
                run, hashes = run_in_fresh_copy(way, Path(temporary) / way.replace(" ", "-"), locked)
                print(f"{way}: {run.seconds:.1f} s, {run.cpu_seconds:.1f} processor seconds", flush=True)
                runs[way].append(run)
                first = first or hashes
                differing = sorted(name for name in first | hashes if first.get(name) != hashes.get(name))
                if differing:
                    sys.exit(f"{way}: other bytes than the run before: {', '.join(differing)}")

    best = {way: quickest(runs[way]) for way in WAYS}
    print("each stage's quickest run")
    header = ["stage", "seconds", "peak MiB", "seconds in one process"]
    print_table(header, stage_table(locked, best[BY_DVC], best[IN_ONE_PROCESS]))
    peak_mib = max(peak for _, peak in best[IN_ONE_PROCESS].stages.values())
    print(f"{len(first)} files with the same bytes; peak of the one process {peak_mib:,.0f} MiB", flush=True)
    ratio = best[BY_DVC].seconds / best[IN_ONE_PROCESS].seconds
    cpu_ratio = best[BY_DVC].cpu_seconds / best[IN_ONE_PROCESS].cpu_seconds
    finish(
        figure={"times_one_process": round(ratio, 3), "times_processor_seconds": round(cpu_ratio, 3)},
        goal={"times_one_process": MOST_TIMES_ONE_PROCESS},
        ok=ratio <= MOST_TIMES_ONE_PROCESS,
    )


TASKS: dict[str, Callable[..., Any]] = {"call_stages": call_stages, "import_packages": import_packages}


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
