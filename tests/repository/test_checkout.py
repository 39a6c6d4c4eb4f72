"""What git knows of a checkout: tracked and new files, not ignored or deleted ones."""

import subprocess
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.checkout import listed_files


def test_tracked_and_new_files_are_listed_but_not_ignored_or_deleted_ones(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored\n")
    for name in ("tracked", "deleted", "ignored", "n\u00e9w file"):
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "tracked", "deleted"], cwd=tmp_path, check=True)
    (tmp_path / "deleted").unlink()
    assert listed_files(tmp_path) == {".gitignore", "tracked", "n\u00e9w file"}


def test_a_folder_without_git_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"^[^\n]+: not a git repository$"):
        listed_files(tmp_path)
