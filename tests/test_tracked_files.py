"""No file that git tracks has the marks of an unfinished merge."""

import subprocess
from pathlib import Path

import pytest

from tests.checkouts import TOP, commit, git


def marked(checkout: Path) -> list[str]:
    """Names of tracked files with such marks at the beginning of a line."""
    command = ["git", "grep", "--name-only", "-I", "-E", r"^(<{7}|>{7}|\|{7}) "]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "||||||| 1a2b3c4", ">>>>>>> branch"])
def test_each_mark_is_found(tmp_path: Path, mark: str) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "whole.md").write_text("A title\n=======\n")
    (tmp_path / "page.md").write_text(f"one\n{mark}\nother\n")
    commit(tmp_path, "pages")
    assert marked(tmp_path) == ["page.md"]


def test_no_tracked_file_has_a_mark_of_an_unfinished_merge() -> None:
    assert not marked(TOP)
