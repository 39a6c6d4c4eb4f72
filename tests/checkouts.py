"""Copies of this checkout for tests that run its graph, small and elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ontime.repository.git import listed_files
from ontime.repository.lock_file import outputs, read_lock
from tests.commands import make_small

TOP = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def environment(**changes: str) -> dict[str, str]:
    """This process's variables with its own programs first on PATH; no tracking."""
    path = f"{BIN}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "ONTIME_TRACKING": "off", **changes}


def run(
    *command: str, cwd: Path, check: bool = True, text: str = "", **changes: str
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the virtual environment in a checkout, with a text to read, and keep what it prints."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
        input=text,
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def copy_checkout(target: Path) -> Path:
    """What git tracks here, with changes not yet committed, as a git repository of its own; no data, no cache."""
    for name in sorted(listed_files(TOP)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        # with its mode, which git tracks
        shutil.copy(TOP / name, target / name)
    git(target, "init", "--quiet", "--initial-branch=main")
    commit(target, "copy")
    return target


def git(checkout: Path, *arguments: str) -> str:
    """Run git with an identity of its own."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    done = subprocess.run(["git", *identity, *arguments], cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout


def commit(checkout: Path, message: str) -> None:
    """Commit everything."""
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", message)


def small_fork(target: Path, rows: int = 569) -> Path:
    """A checkout whose graph runs on scikit-learn's breast cancer table, small enough for a test."""
    from sklearn.datasets import load_breast_cancer

    checkout = copy_checkout(target)
    frame: Any = load_breast_cancer(as_frame=True).frame
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    (checkout / "data" / "external").mkdir(parents=True, exist_ok=True)
    frame.head(rows).to_csv(checkout / "data" / "external" / "tumours.csv", index=False)
    (checkout / "dvc.lock").unlink(missing_ok=True)
    run("ontime", "init", "--source", "data/external/tumours.csv", "--target", "target", "--no-run", cwd=checkout)
    make_small(checkout / "params.yaml")
    commit(checkout, "fork")
    return checkout


def reproduce(checkout: Path, **changes: Any) -> None:
    """What `dvc repro` does to a small fork, by its own code, at half the cost."""
    run(sys.executable, "-P", str(TOP / "tests" / "record_graph.py"), cwd=checkout, **changes)


def locked_hashes(checkout: Path) -> dict[str, str]:
    """Hash of every output by its path, as dvc.lock has them."""
    return outputs(read_lock(checkout / "dvc.lock"))
