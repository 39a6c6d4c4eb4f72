"""An experiment dropped: the last commit's parameters and outputs come back, or nothing changes."""

import shutil
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.drop import command
from tests.checkouts import commit, git, run

GRAPH = """\
stages:
  first: {cmd: cat params.yaml $HERE > first, deps: [code], params: [depth], outs: [first]}
  champion: {cmd: mkdir champion && cp first code champion, deps: [first, code], outs: [champion]}
"""
OUTPUTS = ("first", "champion/first", "champion/code")


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed graph that has run, with a folder as remote; the test is there."""
    top = tmp_path / "team"
    top.mkdir()
    git(top, "init", "--quiet", "--initial-branch=main")
    run("dvc", "init", "--quiet", cwd=top)
    run("dvc", "remote", "add", "--quiet", "--default", "remote", str(tmp_path / "remote"), cwd=top)
    for name, text in {"dvc.yaml": GRAPH, "code": "1\n", "params.yaml": "depth: 1\n"}.items():
        (top / name).write_text(text)
    run("dvc", "repro", "--quiet", cwd=top, HERE="")
    commit(top, "graph")
    monkeypatch.chdir(top)
    return top


def state(top: Path) -> dict[str, bytes]:
    return {name: (top / name).read_bytes() for name in ("params.yaml", "dvc.lock", "code", *OUTPUTS)}


def experiment(top: Path, here: str = "") -> None:
    """Run the graph with another parameter and keep nothing."""
    (top / "params.yaml").write_text("depth: 2\n")
    run("dvc", "repro", "--quiet", cwd=top, HERE=here)


def fresh(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that never had the committed outputs and whose first run makes others; the test is there."""
    clone = finished.parent / "clone"
    git(finished.parent, "clone", "--quiet", str(finished), str(clone))
    run("dvc", "repro", "--quiet", cwd=clone, HERE="code")
    monkeypatch.chdir(clone)
    return clone


def test_parameters_lock_and_outputs_come_back_and_code_stays(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(finished)
    experiment(finished)
    (finished / "code").write_text("mine\n")
    git(finished, "add", "params.yaml")
    assert state(finished)["champion/first"] != before["champion/first"]
    command.main([], standalone_mode=False)
    assert capsys.readouterr().out == "params.yaml, dvc.lock and 2 outputs are those of the last commit\n"
    assert state(finished) == {**before, "code": b"mine\n"}
    assert git(finished, "status", "--porcelain") == " M code\n"


def test_what_is_nowhere_is_told_before_anything_is_lost(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = fresh(finished, monkeypatch)
    before = state(clone)
    with pytest.raises(
        OntimeError,
        match=r"^output [^\n]+: object [\w.]+: (neither in DVC's cache|not fetched: )[^\n]+; nothing was changed; ",
    ):
        command.main([], standalone_mode=False)
    assert state(clone) == before


def test_what_only_the_remote_has_is_fetched(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("dvc", "push", "--quiet", cwd=finished)
    clone = fresh(finished, monkeypatch)
    experiment(clone, here="code")
    command.main([], standalone_mode=False)
    assert state(clone) == state(finished)


def test_a_folder_of_which_the_cache_lacks_one_file_is_not_there(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("dvc", "push", "--quiet", cwd=finished)
    clone = fresh(finished, monkeypatch)
    run("dvc", "fetch", "--quiet", cwd=finished)
    for place in (clone / ".dvc" / "cache", finished.parent / "remote"):
        shutil.rmtree(place / "files" / "md5" / "b0", ignore_errors=True)
    before = state(clone)
    with pytest.raises(
        OntimeError, match=r"^output champion/code: object b0\w+: neither in DVC's cache nor in its remote; "
    ):
        command.main([], standalone_mode=False)
    assert state(clone) == before


def test_an_output_that_was_changed_by_hand_is_not_lost(finished: Path) -> None:
    experiment(finished)
    (finished / "champion" / "notes").write_text("mine\n")
    before = state(finished)
    with pytest.raises(OntimeError, match=r"^dvc checkout: [^\n]+; nothing was dropped$"):
        command.main([], standalone_mode=False)
    assert state(finished) == before
    assert (finished / "champion" / "notes").read_text() == "mine\n"


def test_without_a_committed_lock_there_is_nothing_to_go_back_to(finished: Path) -> None:
    git(finished, "rm", "--quiet", "--cached", "dvc.lock")
    commit_without_lock = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "none")
    git(finished, *commit_without_lock)
    with pytest.raises(OntimeError, match=r"^the last commit has no dvc\.lock; there is nothing to go back to$"):
        command.main([], standalone_mode=False)
