"""What the machine has by itself, looked at where it is absent."""

import json
import sys
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.doctor import machine
from ontime.doctor.command import checks, table
from tests.checkouts import TOP, run

NEEDED = {"python", "packages", "git", "processor", "disk", "source"}


def doctor(path: Path, *arguments: str, cwd: Path = TOP) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit status, findings by name, and standard error, with one folder alone on PATH."""
    command = [sys.executable, "-m", "ontime", "doctor", "--json", "--offline", *arguments]
    done = run(*command, cwd=cwd, check=False, PATH=str(path))
    return done.returncode, {one["name"]: one for one in json.loads(done.stdout)}, done.stderr


def programs(folder: Path, **scripts: str) -> Path:
    """A folder with programs that only print."""
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_without_a_program_on_path_only_git_is_missing_and_the_others_are_absent(tmp_path: Path) -> None:
    status, found, errors = doctor(tmp_path)
    assert status == 1
    assert {name for name, one in found.items() if one["state"] == "missing"} == {"git"}
    assert {name for name, one in found.items() if one["state"] == "absent"} == {
        *("identity", "hooks", "podman", "go", "compiler", "java")
    }
    assert found["podman"]["found"] == "podman is not on PATH"
    assert all(one["purpose"] and one["mend"] for one in found.values())
    assert "Traceback" not in errors


def test_what_other_commands_need_may_be_absent(tmp_path: Path) -> None:
    git = run("which", "git", cwd=TOP).stdout.strip()
    (tmp_path / "git").symlink_to(git)
    status, found, _ = doctor(tmp_path)
    assert status == 0
    assert {name for name, one in found.items() if one["state"] == "ok"} >= NEEDED
    assert found["go"]["state"] == "absent"


def test_a_program_of_an_older_version_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programs(
        tmp_path, go="go version go1.21.4 linux/amd64", java='openjdk version "11.0.2"', podman="podman 5.0"
    )
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(OntimeError, match=r"go1\.21\.4.*; 1\.26 or later is needed"):
        machine.go()
    with pytest.raises(OntimeError, match=r"11\.0\.2.*Java 17 is needed"):
        machine.java()
    assert machine.podman() == "podman 5.0"


def test_a_full_disk_stops_it_and_says_what_is_needed(tmp_path: Path) -> None:
    git = run("which", "git", cwd=TOP).stdout.strip()
    (tmp_path / "git").symlink_to(git)
    status, found, _ = doctor(tmp_path, "--spare", "10000000")
    assert status == 1
    assert found["disk"]["state"] == "missing"
    assert "GiB are needed" in found["disk"]["found"]


def test_outside_a_repository_what_the_graph_needs_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(run("which", "git", cwd=TOP).stdout.strip())
    (tmp_path / "empty").mkdir()
    status, found, errors = doctor(tmp_path / "bin", cwd=tmp_path / "empty")
    assert status == 1
    assert {name for name, one in found.items() if one["state"] == "missing"} == NEEDED - {"python", "processor"}
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("text", "reason"),
    [("flags\t\t: fpu sse4_2 avx\nmodel name\t: Old\n", "no AVX2"), ("", "no AVX2"), ("flags : avx2x\n", "no AVX2")],
)
def test_a_processor_without_avx2_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    with pytest.raises(OntimeError, match=reason):
        machine.processor(tmp_path / "cpuinfo")


def test_a_package_of_another_version_than_the_lock_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("click==0.1 \\\n    --hash=sha256:0\nnever-heard-of==1 ; python_version > '3'\n")
    with pytest.raises(OntimeError, match=r"^2 of 2 packages of .* are absent or of another version: click 0\.1$"):
        machine.packages(lock)


def test_a_table_has_a_line_for_each_check_and_says_whether_the_graph_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    found = [check.run() for check in checks(0, offline=True)]
    wide = table(found, 0)
    assert len(wide) == len(found) + 1
    assert wide[-1] == "`make repro` can run"
    assert all(len(line) <= 80 for line in table(found, 80) if len(line.split("; ")) > 1)
