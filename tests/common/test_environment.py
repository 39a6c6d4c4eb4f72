"""What a process is before it works: variables pinned, ended with its parent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ontime.common.environment import PINNED, own_source, threads
from tests.checkouts import run

SOURCE = Path(__file__).parents[2] / "src"
PIN = """
import json, os, sys
from ontime.common.environment import pin
with open(os.environ["STARTS"], "a") as log:
    log.write(".")
pin()
state = {
    "variables": dict(os.environ),
    "arguments": sys.argv,
    "optimize": sys.flags.optimize,
    "hash_randomization": sys.flags.hash_randomization,
    "pid": os.getpid(),
}
print(json.dumps(state))
"""


def run_pinned(tmp_path: Path, variables: dict[str, str]) -> tuple[dict[str, object], int, int]:
    """What a process says of itself after `pin`, its process id from outside, and how often it started."""
    script, starts = tmp_path / "a script.py", tmp_path / "starts"
    script.write_text(PIN)
    process = subprocess.Popen(
        [sys.executable, "-O", script, "--flag", "a value", ""],
        env={**variables, "STARTS": str(starts)},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output), process.pid, len(starts.read_text())


def test_a_process_starts_itself_again_with_every_variable_and_its_arguments(tmp_path: Path) -> None:
    others = {name: value for name, value in os.environ.items() if name not in PINNED}
    changed = {**others, "PYTHONHASHSEED": "random", "TF_ENABLE_ONEDNN_OPTS": "1", "KEPT": "as it was"}
    state, pid, starts = run_pinned(tmp_path, changed)
    assert isinstance(state["variables"], dict)
    assert {name: state["variables"].get(name) for name in PINNED} == PINNED
    assert state["variables"]["KEPT"] == "as it was"
    assert state["arguments"] == [str(tmp_path / "a script.py"), "--flag", "a value", ""]
    assert (state["optimize"], state["hash_randomization"]) == (1, 0)
    assert (state["pid"], starts) == (pid, 2)


def test_a_process_that_is_pinned_already_does_not_start_again(tmp_path: Path) -> None:
    _, _, starts = run_pinned(tmp_path, {**os.environ, **PINNED})
    assert starts == 1


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout, whose code says where it is from."""
    package = tmp_path / "other checkout" / "src" / "ontime"
    shutil.copytree(SOURCE / "ontime", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "operations.py").write_text("print('of the other checkout')\nOPERATIONS = {}\n")
    (package.parents[1] / "dvc.yaml").touch()
    return package.parents[1]


@pytest.mark.parametrize("folder", [".", "data", "data/deep"])
def test_a_command_runs_the_code_of_the_checkout_that_it_is_in(checkout: Path, folder: str) -> None:
    (checkout / "data" / "deep").mkdir(parents=True)
    done = run("ontime", "--help", cwd=checkout / folder, PYTHONPATH="kept")
    assert done.stdout.startswith("of the other checkout\n")
    program = "import os, ontime.common.environment as e; e.pin(); print(os.environ['PYTHONPATH'], e.__file__)"
    done = run(sys.executable, "-c", program, cwd=checkout / folder, PYTHONPATH="kept")
    source = checkout / "src"
    assert done.stdout == f"{source}:kept {source / 'ontime' / 'common' / 'environment.py'}\n"


def test_a_command_in_its_own_checkout_or_in_none_keeps_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (SOURCE.parent, SOURCE.parent / "data", tmp_path):
        monkeypatch.chdir(folder)
        assert own_source() == {}
    (tmp_path / "linked").symlink_to(SOURCE.parent)
    monkeypatch.chdir(tmp_path / "linked")
    assert own_source() == {}
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert own_source() == {}


def test_a_checkout_whose_code_cannot_come_first_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    assert own_source() == {
        "PYTHONPATH": os.pathsep.join(filter(None, [f"{checkout}/src", os.environ.get("PYTHONPATH")]))
    }
    monkeypatch.setenv("PYTHONPATH", f"{checkout}/src")
    with pytest.raises(SystemExit, match=r"^error: [^\n]+/src: not the code that Python imports here, but [^\n]+$"):
        own_source()


def test_a_checkout_that_is_too_old_to_be_started_is_one_line(checkout: Path) -> None:
    (checkout / "src" / "ontime" / "__main__.py").unlink()
    done = run("ontime", "--help", cwd=checkout, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: {checkout / 'src'}: an older version of the code, which this `ontime` cannot start; run its own .venv"
    ]


def test_a_command_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); import time; time.sleep(60)"
    )
    child = (
        "import time\nfrom ontime.common.environment import end_with_parent\n"
        "end_with_parent()\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, sys.executable, "-c", child], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "ready\n"
        process.kill()
    end = time.monotonic() + 10
    while running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    if running(pid):
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the child outlived its parent")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("wanted", "expected"), [("1", 1), ("3", 3)])
def test_threads_are_those_that_openmp_is_told(monkeypatch: pytest.MonkeyPatch, wanted: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads() == expected


@pytest.mark.parametrize("wanted", ["", "0", "-2", "many", "1,2"])
def test_threads_are_else_the_cores_this_process_may_use(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert threads() == len(allowed)
