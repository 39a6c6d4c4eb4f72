"""The rehearsal's cluster is gone whichever way the test that holds it ends, and the next one starts clean."""

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.rehearsal.cluster.machine import STATE, kubepods, tables
from tests.rehearsal.cluster.processes import PODS, owned
from tests.rehearsal.cluster.rig import rig
from tests.rehearsal.cluster.settings import BRIDGE

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
UP_SECONDS, DOWN_SECONDS = 1800, 60
"""The first includes building."""


def hold(folder: Path, told: Connection) -> None:
    """A cluster until somebody ends this process."""
    with rig(folder):
        told.send("up")
        time.sleep(UP_SECONDS)


@pytest.fixture
def begin() -> Callable[[Path], multiprocessing.process.BaseProcess]:
    """A function that starts a cluster in a process of its own and waits until it is up."""
    context = multiprocessing.get_context("fork")

    def start(folder: Path) -> multiprocessing.process.BaseProcess:
        here, there = context.Pipe()
        process = context.Process(target=hold, args=(folder, there))
        process.start()
        there.close()
        assert here.poll(UP_SECONDS), folder
        assert here.recv() == "up"
        assert PODS in {name for _, name in owned(str(folder))}
        return process

    return start


def left(folder: Path) -> list[str]:
    """What is still there of a run."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    return [
        *(f"process {process.pid} of {name}" for process, name in owned(str(folder))),
        *(f"mount {mount}" for mount in mounts if mount.startswith(str(folder))),
        *(f"table {table}" for table in tables() if "kube-proxy" in table or "rehearsal" in table),
        *(f"link {line.split()[0]}" for line in links.splitlines() if line.startswith((BRIDGE, "veth"))),
        *(f"control group {path}" for path in kubepods()),
        *(f"file {path}" for path in folder.iterdir() if path.name != "log"),
        *(f"state {path}" for path in [STATE] if path.exists()),
    ]


def wait_until_nothing_is_left(folder: Path) -> None:
    """Give it some seconds."""
    end = time.monotonic() + DOWN_SECONDS
    while found := left(folder):
        assert time.monotonic() < end, found
        time.sleep(0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_nothing_is_left_of_a_test_that_was(
    number: signal.Signals, tmp_path: Path, begin: Callable[[Path], multiprocessing.process.BaseProcess]
) -> None:
    process = begin(tmp_path / "run")
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(DOWN_SECONDS)
    wait_until_nothing_is_left(tmp_path / "run")
    assert list((tmp_path / "run" / "log").iterdir())


def test_next_run_ends_what_a_killed_one_left(
    tmp_path: Path, begin: Callable[[Path], multiprocessing.process.BaseProcess]
) -> None:
    process = begin(tmp_path / "first")
    holder = psutil.Process(process.pid)
    # with the helper that would tidy up, and with containerd, so that pods have lost whom they belong to
    (helper,) = (child for child in holder.children() if "down.py" in " ".join(child.cmdline()))
    shims = [one for one, _ in owned(str(tmp_path / "first")) if one.name().startswith("containerd")]
    assert len(shims) > 1
    for one in (helper, holder, *shims):
        one.kill()
    process.join()
    assert [name for _, name in owned(str(tmp_path / "first"))]
    with rig(tmp_path / "second") as cluster:
        assert cluster.get("node", "node1")["status"]["conditions"]
        assert list(owned(str(tmp_path / "first"))) == []
        assert {path.name for path in (tmp_path / "first").iterdir()} == {"log"}
    assert left(tmp_path / "second") == []
