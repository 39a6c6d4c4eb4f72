"""DVC's program run: its answers, its refusals, and where it finds programs."""

import os
import shutil
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.dvc import answer, cache_folder, dvc, show
from tests.checkouts import git, run


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository in which the test is."""
    git(tmp_path, "init", "--quiet")
    run("dvc", "init", "--quiet", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_answer_is_read_and_nothing_said_is_empty(repository: Path) -> None:
    assert answer("status") == {}
    (repository / "file").write_text("1")
    dvc("add", "--quiet", "file")
    (repository / "file").write_text("2")
    assert answer("status") == {"file.dvc": [{"changed outs": {"file": "modified"}}]}
    assert cache_folder() == repository / ".dvc" / "cache" / "files" / "md5"


def test_a_refusal_is_one_line_that_repeats_no_secret(repository: Path) -> None:
    del repository
    with pytest.raises(OntimeError, match=r"^dvc remote modify: [^\n]+$") as refused:
        dvc("remote", "modify", "--local", "absent", "secret_access_key", "hunter2")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(OntimeError, match=r"^`dvc pull absent` failed; see its output above$"):
        show("pull", "absent")


def test_a_folder_without_dvc_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"^not a DVC repository; run this in the repository's top folder$"):
        cache_folder()


def test_a_stage_finds_this_environments_programs_without_an_activated_one(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    monkeypatch.setenv("PATH", os.pathsep.join(one for one in folders if not (Path(one) / "ontime").exists()))
    assert shutil.which("ontime") is None
    (repository / "dvc.yaml").write_text("stages:\n  a: {cmd: ontime --help > a, outs: [a]}\n")
    dvc("repro", "--quiet")
    assert (repository / "a").read_text().startswith("Usage: ontime")


@pytest.mark.parametrize("named", [True, False])
def test_git_and_stages_in_another_folder_do_not_see_a_hooks_variables(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    hooked = tmp_path_factory.mktemp("hooked")
    git(hooked, "init", "--quiet")
    head, settings = (hooked / ".git" / "HEAD").read_bytes(), (hooked / ".git" / "config").read_bytes()
    (repository / "dvc.yaml").write_text("stages:\n  a: {cmd: 'echo $GIT_DIR > a', outs: [a]}\n")
    monkeypatch.chdir(hooked)
    monkeypatch.setenv("GIT_DIR", str(hooked / ".git"))
    if named:
        monkeypatch.setenv("GIT_WORK_TREE", str(hooked))
    dvc("repro", "--quiet", folder=repository)
    assert (repository / "a").read_text() == "\n"
    assert ((hooked / ".git" / "HEAD").read_bytes(), (hooked / ".git" / "config").read_bytes()) == (head, settings)
