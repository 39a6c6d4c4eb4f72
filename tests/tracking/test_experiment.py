"""A run's commit is dirty if something that the graph reads differs from it, and for nothing else."""

from pathlib import Path

import pytest

from ontime.tracking.experiment import git_tags, named
from tests.checkouts import commit, git


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a parameter and a lock, both committed."""
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("a: 1\n")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "dirty"), [("params.yaml", "True"), ("src/a.py", "True"), ("dvc.lock", "False"), ("notes.txt", "False")]
)
def test_a_commit_is_dirty_by_what_the_graph_reads(checkout: Path, name: str, dirty: str) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("a: 2\n")
    tags = git_tags()
    assert tags == {"git_commit": git(checkout, "rev-parse", "HEAD").strip(), "git_dirty": dirty}
    changes = " with changes" if dirty == "True" else ""
    assert named("forest", tags) == f"forest {tags['git_commit'][:7]}{changes}"


def test_without_a_repository_a_run_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_tags()["git_commit"] == "unknown"
    assert named("forest", git_tags()) == "forest"
