"""The two scripts of an operator: usage, and what they pass on to `ontime release`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.checkouts import TOP, run

SCRIPTS = Path("deployment/scripts")


def script(top: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of a checkout whose `ontime` tells what it was asked."""
    (top / SCRIPTS).mkdir(parents=True)
    shutil.copy(TOP / SCRIPTS / name, top / SCRIPTS / name)
    program = top / ".venv" / "bin" / "ontime"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$PWD: $*"\nexit ${STATUS:-0}\n')
    program.chmod(0o755)
    return subprocess.run([top / SCRIPTS / name, *arguments], cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "arguments", "passed"),
    [
        ("deploy_model.sh", ["v1.2.0", "production"], "release assign v1.2.0 production --push"),
        ("rollback_model.sh", ["production"], "release rollback production --push"),
        ("rollback_model.sh", ["production", "v1.1.0"], "release rollback production --to v1.1.0 --push"),
    ],
)
def test_a_script_runs_one_command_in_the_top_folder(
    tmp_path: Path, name: str, arguments: list[str], passed: str
) -> None:
    done = script(tmp_path, name, *arguments)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}: {passed}\n")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("deploy_model.sh", []),
        ("deploy_model.sh", ["v1.2.0"]),
        ("deploy_model.sh", ["v1.2.0", "production", "now"]),
        ("deploy_model.sh", ["--help"]),
        ("deploy_model.sh", ["v1.2.0", "--push"]),
        ("rollback_model.sh", []),
        ("rollback_model.sh", ["-h"]),
        ("rollback_model.sh", ["production", "--to"]),
        ("rollback_model.sh", ["production", "v1.0.0", "now"]),
    ],
)
def test_wrong_usage_is_told_with_status_2(tmp_path: Path, name: str, arguments: list[str]) -> None:
    done = script(tmp_path, name, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {name} ")


@pytest.mark.parametrize("name", ["deploy_model.sh", "rollback_model.sh"])
def test_a_refusal_is_the_scripts_status(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS", "1")
    assert script(tmp_path, name, "production", "v1.0.0").returncode == 1


def test_shellcheck_finds_nothing() -> None:
    names = sorted(str(path.relative_to(TOP)) for path in (TOP / SCRIPTS).glob("*.sh"))
    assert len(names) >= 2
    run("shellcheck", *names, cwd=TOP)
    assert all(os.access(TOP / name, os.X_OK) for name in names)
