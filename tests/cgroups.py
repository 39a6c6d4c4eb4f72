"""A control group with a quota of processor time, which the tests' own process is in for as long as a block runs."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

PERIOD = 100_000
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def cpu_quota(cores: float) -> Iterator[None]:
    """Allow this process, and the processes that it starts, some cores; skips the test where that cannot be."""
    top = VERSION_1 if VERSION_1.is_dir() else VERSION_2
    group = top / f"ontime-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"{group}: no control group can be made here: {error.strerror}")
    before = top / _own(top).lstrip("/") / "cgroup.procs"
    try:
        _write_quota(group, cores)
        (group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            before.write_text(str(os.getpid()))
    finally:
        group.rmdir()


def _own(top: Path) -> str:
    """Path of this process's group within the hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if ("cpu" in controllers.split(",")) if top == VERSION_1 else not controllers:
            return path
    raise AssertionError("/proc/self/cgroup: no group")


def _write_quota(group: Path, cores: float) -> None:
    quota = round(cores * PERIOD)
    try:
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD}")
    except OSError as error:
        pytest.skip(f"{group}: its quota cannot be set: {error.strerror}")
