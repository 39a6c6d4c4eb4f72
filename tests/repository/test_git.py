"""git run here and for other folders: what it is asked, what it lists, and whose variables it sees."""

import subprocess
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.git import bytes_of, clone, content_of, elsewhere, environment, git, listed_files, tried
from tests.checkouts import commit
from tests.checkouts import git as git_in


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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in whose folder the test is, as a hook of it sees the world."""
    top = tmp_path / "here"
    top.mkdir()
    git_in(top, "init", "--quiet", "--initial-branch=main")
    (top / "file").write_bytes(b"one\r\n\xff")
    commit(top, "one")
    monkeypatch.chdir(top)
    monkeypatch.setenv("GIT_DIR", str(top / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(top / ".git" / "index"))
    monkeypatch.setenv("GIT_PREFIX", "")
    return top


def test_a_hooks_variables_hold_in_its_own_folder_and_in_no_other(here: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git("init", "--quiet", folder=other)
    (other / "new").touch()
    assert environment(here)["GIT_DIR"] == environment()["GIT_DIR"] == str(here / ".git")
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"} & environment(other).keys()
    assert (other / ".git" / "HEAD").is_file()
    assert listed_files(other) == {"new"}
    assert listed_files(here) == {"file"}
    with elsewhere():
        assert "GIT_DIR" not in environment()
    assert environment()["GIT_DIR"] == str(here / ".git")


def test_a_hook_sees_what_is_about_to_be_committed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".gitignore").write_text("*\n")
    (here / "ignored").touch()
    other_index = here / ".git" / "other"
    monkeypatch.setenv("GIT_INDEX_FILE", str(other_index))
    git("add", "--force", "ignored")
    assert listed_files(here) == {"ignored"}


def test_a_clone_made_in_a_hook_leaves_the_repository_as_it_is(here: Path, tmp_path: Path) -> None:
    before = (here / ".git" / "HEAD").read_text(), (here / ".git" / "config").read_text()
    (here / "file").write_text("two")
    git_in(here, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", "--message", "two")
    clone(tmp_path / "copy", "HEAD~1")
    assert (tmp_path / "copy" / "file").read_bytes() == b"one\r\n\xff"
    assert (here / "file").read_text() == "two"
    assert ((here / ".git" / "HEAD").read_text(), (here / ".git" / "config").read_text()) == before
    assert git("status", "--porcelain") == ""


def test_a_file_of_a_commit_comes_to_the_byte(here: Path) -> None:
    assert bytes_of("HEAD", here.relative_to(here) / "file") == b"one\r\n\xff"
    assert content_of("HEAD", "file") == "one\r\n\ufffd"
    assert bytes_of("HEAD", "absent") is None


def test_a_refusal_is_one_line(here: Path) -> None:
    assert tried("rev-parse", "--verify", "--quiet", "nothing") is None
    with pytest.raises(OntimeError, match=r"^git show: [^\n]*unknown revision[^\n]*$"):
        git("show", "nothing")
    with pytest.raises(OntimeError, match=r"/absent: not found$"):
        git("status", folder=here / "absent")
