"""The cores that a process may use are those of its affinity and of the quotas of its control groups."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ontime.cores import limit_threads, usable_cores
from ontime.model_deployment.batch import score
from ontime.model_training import tune
from tests.cgroups import cpu_quota
from tests.checkouts import TOP, environment

MOUNT_1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
MOUNT_2 = "30 24 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
OTHER = "22 27 0:21 / /proc rw,relatime - proc proc rw\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda *_: set(range(64)))


def machine(top: Path, groups: str, mount: str, files: dict[str, str]) -> Path:
    """A folder with the files that the kernel would show."""
    (top / "proc" / "self").mkdir(parents=True)
    (top / "proc" / "self" / "cgroup").write_text(groups)
    (top / "proc" / "self" / "mountinfo").write_text(f"{OTHER}\n{mount}\n")
    for name, content in files.items():
        path = top / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return top


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("50000 100000", 1), ("150000 100000", 2), ("800000 100000", 8), ("9900000 100000", 64)],
)
def test_version_2_in_a_container_shows_the_own_group_at_the_top(tmp_path: Path, quota: str, cores: int) -> None:
    top = machine(tmp_path, "0::/\n", MOUNT_2.format(root="/"), {"cpu.max": quota})
    assert usable_cores(top) == cores


def test_the_smallest_quota_of_the_groups_around_a_process_counts(tmp_path: Path) -> None:
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000", "a/c/cpu.max": "100000 100000"}
    top = machine(tmp_path, "1:memory:/else\n0::/a/b\n", MOUNT_2.format(root="/"), files)
    assert usable_cores(top) == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 64), ("50000", 1), ("250000", 3)])
def test_version_1_in_a_container_shows_the_machines_path_of_the_group(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": quota, "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    groups = "9:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n0::/docker/1f\n"
    assert usable_cores(machine(tmp_path / "same", groups, MOUNT_1.format(root="/docker/1f"), files)) == cores
    # a mount of something else than where the process is
    assert usable_cores(machine(tmp_path / "other", groups, MOUNT_1.format(root="/docker/2e"), files)) == cores


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 64


@pytest.mark.parametrize(("given", "quota", "threads"), [(None, "max 1", None), (None, "2 1", "2"), ("5", "2 1", "5")])
def test_a_quota_sets_the_number_of_threads_unless_somebody_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, quota: str, threads: str | None
) -> None:
    # so that monkeypatch removes what is set
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads(machine(tmp_path, "0::/\n", MOUNT_2.format(root="/"), {"cpu.max": quota}))
    assert os.environ.get("OMP_NUM_THREADS") == threads


@pytest.mark.parametrize(("command", "arguments"), [(score.command, ["a", "b"]), (tune.command, ["a"])])
def test_a_command_that_starts_workers_does_so_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: click.Command, arguments: list[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.chdir(tmp_path)
    with cpu_quota(1.5):
        # there is nothing to read, which is found out later
        assert CliRunner().invoke(command, arguments).exit_code == 1
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("cores", [0.5, 1.5])
def test_a_process_in_a_real_group_finds_its_quota(cores: float) -> None:
    code = "import os; from ontime.cores import usable_cores; print(usable_cores(), len(os.sched_getaffinity(0)))"
    command = [sys.executable, "-c", code]
    with cpu_quota(cores):
        done = subprocess.run(command, env=environment(), cwd=TOP, capture_output=True, text=True, check=True)
    found, affinity = map(int, done.stdout.split())
    assert found == min(affinity, 1 if cores < 1 else 2)
