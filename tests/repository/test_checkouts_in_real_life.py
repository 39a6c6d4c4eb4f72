"""A checkout where people work: line ends, folder names and locales, hooks of linked worktrees."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkouts import BIN, TOP, commit, copy_checkout, git, run

GRAPH = """\
stages:
  first: {cmd: cp code first, deps: [code], outs: [first]}
  second: {cmd: cat code first > second, deps: [code, first], outs: [second]}
"""


def test_a_clone_that_would_convert_line_ends_has_the_bytes_that_were_committed(tmp_path: Path) -> None:
    source = copy_checkout(tmp_path / "source")
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "--quiet", str(source), str(tmp_path / "clone"))
    names = git(source, "ls-files", "-z").split("\0")[:-1]
    differing = [name for name in names if (tmp_path / "clone" / name).read_bytes() != (source / name).read_bytes()]
    assert (len(names) > 100, differing) == (True, [])
    assert git(tmp_path / "clone", "-c", "core.autocrlf=true", "status", "--porcelain") == ""


def test_a_checkout_under_any_name_is_imported_in_any_locale(tmp_path: Path) -> None:
    top = tmp_path / "j\u00fcrgen"
    shutil.copytree(TOP / "src", top / "src")
    run(sys.executable, "-m", "venv", "--without-pip", ".venv", cwd=top)
    found, made = (next((one / "lib").glob("python3*/site-packages")) for one in (BIN.parent, top / ".venv"))
    (path_file,) = found.glob("*ontime.pth")
    shutil.copy(path_file, made)
    program = "import os, ontime; print(ascii(os.path.relpath(ontime.__file__, os.path.realpath('.'))))"
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            [top / ".venv" / "bin" / "python", "-c", program],
            cwd=top,
            env={"PATH": os.environ["PATH"], "LC_ALL": locale},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("'src/ontime/__init__.py'\n", ""), locale


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    """A linked worktree, on a branch that changed the code, of a checkout with a graph that has run."""
    top, work = tmp_path / "checkout", tmp_path / "worktree"
    top.mkdir()
    git(top, "init", "--quiet", "--initial-branch=main")
    run("dvc", "init", "--quiet", cwd=top)
    for name, text in {"dvc.yaml": GRAPH, "code": "1\n"}.items():
        (top / name).write_text(text)
    run("dvc", "repro", "--quiet", cwd=top)
    commit(top, "graph")
    for key, value in (("name", "test"), ("email", "test@example.invalid")):
        git(top, "config", f"user.{key}", value)
    git(top, "worktree", "add", "--quiet", str(work), "-b", "topic")
    run("dvc", "cache", "dir", "--local", str(top / ".dvc" / "cache"), cwd=work)
    (work / "code").write_text("2\n")
    run("dvc", "repro", "--quiet", cwd=work)
    return work


def hook(worktree: Path, name: str, command: str) -> None:
    """Let git run a command in a hook, as it does in every worktree."""
    folder = worktree / git(worktree, "rev-parse", "--git-common-dir").strip() / "hooks"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nexec {command}\n")
    (folder / name).chmod(0o755)


def settled(worktree: Path) -> tuple[str, str, str]:
    """What a hook must leave alone: both heads and the settings."""
    top = worktree.parent / "checkout"
    heads = git(top, "symbolic-ref", "HEAD"), git(worktree, "symbolic-ref", "HEAD")
    return *heads, (top / ".git" / "config").read_text()


@pytest.mark.integration
def test_the_graph_is_verified_in_a_hook_of_a_linked_worktree(worktree: Path) -> None:
    before = settled(worktree)
    hook(worktree, "pre-commit", "ontime verify --processors none")
    done = run("git", "commit", "--quiet", "--all", "--message", "two", cwd=worktree)
    assert done.stderr.count("2 outputs identical to dvc.lock") == 3
    assert settled(worktree) == before
    assert git(worktree.parent / "checkout", "status", "--porcelain") == ""
    (worktree / "second").unlink()
    (worktree / "dvc.yaml").write_text(GRAPH.replace("cp code first", "date +%N > first"))
    run("dvc", "repro", "--quiet", cwd=worktree)
    refused = run("git", "commit", "--quiet", "--all", "--message", "three", cwd=worktree, check=False)
    assert refused.returncode == 1
    assert "error: stage first: first is not what dvc.lock says" in refused.stderr


@pytest.mark.integration
def test_a_change_is_proven_in_a_hook_of_a_linked_worktree(worktree: Path) -> None:
    before = settled(worktree)
    commit(worktree, "two")
    (worktree / "notes").write_text("mine\n")
    git(worktree.parent, "init", "--quiet", "--bare", "origin.git")
    hook(worktree, "pre-push", "ontime proof --no-remote --base main")
    done = run("git", "push", "--quiet", str(worktree.parent / "origin.git"), "topic", cwd=worktree)
    assert "2 of 2 stages run again: first, second\n" in done.stderr + done.stdout
    assert "dvc.lock: proven\n" in done.stderr + done.stdout
    assert settled(worktree) == before
    assert git(worktree, "status", "--porcelain") == "?? notes\n"
    assert git(worktree.parent / "checkout", "status", "--porcelain") == ""
