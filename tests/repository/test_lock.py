"""A conflicted `dvc.lock` made whole: two-sided and diff3 markers, and markers that do not match."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.repository.lock import merge, sides, unexplained
from ontime.repository.lock_file import ordered
from tests.checkouts import commit, run


def lock_of(**hashes: str) -> str:
    stages = "".join(
        f"  {name}:\n    cmd: {name}\n    outs:\n    - path: {name}\n      md5: '{md5}'\n"
        for name, md5 in hashes.items()
    )
    return f"schema: '2.0'\nstages:\n{stages}"


def git(folder: Path, *arguments: str, check: bool = True) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=check, capture_output=True)


def resolved(folder: Path) -> dict[str, str]:
    commands.main(["lock"], standalone_mode=False)
    content = YAML(typ="safe", pure=True).load(folder / "dvc.lock")
    assert content["schema"] == "2.0"
    return {name: stage["outs"][0]["md5"] for name, stage in content["stages"].items()}


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_a_conflict_of_git_keeps_every_stage_and_ours_where_both_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    lock = tmp_path / "dvc.lock"
    for branch, hashes in {
        "main": {"a": "1", "b": "1", "c": "1"},
        "theirs": {"a": "2", "b": "1", "c": "1", "new": "2"},
        "ours": {"a": "3", "b": "1", "c": "3"},
    }.items():
        if branch != "main":
            git(tmp_path, "switch", "--quiet", "main")
        git(tmp_path, "switch", "--quiet", "-c", branch, check=branch != "main")
        lock.write_text(lock_of(**hashes))
        git(tmp_path, "add", "dvc.lock")
        git(tmp_path, "commit", "--quiet", "-m", branch)
    git(tmp_path, "-c", f"merge.conflictStyle={style}", "merge", "theirs", check=False)
    assert "<<<<<<< " in lock.read_text()
    assert ("||||||| " in lock.read_text()) == (style != "merge")
    assert resolved(tmp_path) == {"a": "3", "b": "1", "c": "3", "new": "2"}
    assert [path.name for path in tmp_path.iterdir() if path.name != ".git"] == ["dvc.lock"]


def test_a_lock_without_markers_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("# mine\n" + lock_of(a="1"))
    commands.main(["lock"], standalone_mode=False)
    assert (tmp_path / "dvc.lock").read_text() == "# mine\n" + lock_of(a="1")
    assert capsys.readouterr().out == "dvc.lock: in order\n"


def test_a_lock_that_is_not_there_yet_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands.main(["lock"], standalone_mode=False)
    assert capsys.readouterr().out == "dvc.lock: does not exist yet, nothing to repair\n"


def test_half_a_lock_comes_back_from_the_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    lock = tmp_path / "dvc.lock"
    lock.write_text(lock_of(a="1", b="2"))
    git(tmp_path, "add", "dvc.lock")
    git(tmp_path, "commit", "--quiet", "-m", "lock")
    for half in ("", lock_of(a="1", b="2")[:10]):
        lock.write_text(half)
        assert resolved(tmp_path) == {"a": "1", "b": "2"}


def test_half_a_lock_that_was_never_committed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("")
    commands.main(["lock"], standalone_mode=False)
    assert not (tmp_path / "dvc.lock").exists()


def test_half_a_list_of_running_processes_is_removed_and_a_whole_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running = tmp_path / ".dvc" / "tmp" / "rwlock"
    running.parent.mkdir(parents=True)
    for content, kept in (("{}", True), ("", False), ('{"read": ', False)):
        running.write_text(content)
        commands.main(["lock"], standalone_mode=False)
        assert running.exists() == kept


def test_both_sides_are_taken_apart() -> None:
    two = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\nd\n<<<<<<< HEAD\n=======\ne\n>>>>>>> x\n"
    assert sides(two) == ("a\nb\nd\n", "a\nc\nd\ne\n")
    three = "a\n<<<<<<< HEAD\nb\n||||||| base\no\n=======\nc\n>>>>>>> x\n=======\n"
    assert sides(three) == ("a\nb\n=======\n", "a\nc\n=======\n")


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< HEAD\na\n",
        "<<<<<<< HEAD\na\n=======\nb\n",
        "<<<<<<< HEAD\na\n>>>>>>> x\n",
        "a\n>>>>>>> x\n",
        "||||||| base\na\n",
        "<<<<<<< HEAD\n<<<<<<< HEAD\n=======\n>>>>>>> x\n",
        "<<<<<<< HEAD\n||||||| a\n||||||| a\n=======\n>>>>>>> x\n",
    ],
)
def test_markers_that_do_not_match_up_are_refused_and_the_file_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with pytest.raises(OntimeError, match=r"^dvc\.lock: conflict markers are unbalanced; take one side: git checkout"):
        sides(text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(text + "<<<<<<< HEAD\n")
    with pytest.raises(OntimeError):
        commands.main(["lock"], standalone_mode=False)
    assert (tmp_path / "dvc.lock").read_text() == text + "<<<<<<< HEAD\n"


@pytest.mark.parametrize("side", ["stages: [\n", "just text\n", "schema: '2.0'\n", "schema: '2.0'\nstages:\n"])
def test_a_side_that_is_no_lock_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(f"<<<<<<< HEAD\n{lock_of(a='1')}=======\n{side}>>>>>>> x\n")
    with pytest.raises(OntimeError, match=r"^dvc\.lock: one side of the conflict is not a lock file; [^\n]+$"):
        commands.main(["lock"], standalone_mode=False)


def test_a_merge_keeps_the_stages_of_both() -> None:
    assert merge({"a": 1, "b": 1}, {"b": 2, "c": 2}) == {"b": 1, "c": 2, "a": 1}


CHAIN = """\
stages:
  first:
    cmd: cat code params.yaml $TABLE > first; mkdir -p folder; cp first folder
    deps: [code]
    params: [depth]
    outs: [first, folder]
  second: {cmd: cat first > second, deps: [first], outs: [second]}
"""


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A graph that ran and was committed, of which one stage reads what it does not list; the test is there."""
    git(tmp_path, "init", "--quiet")
    run("dvc", "init", "--quiet", cwd=tmp_path)
    for name, text in {"dvc.yaml": CHAIN, "code": "1\n", "params.yaml": "depth: 1\n"}.items():
        (tmp_path / name).write_text(text)
    run("dvc", "repro", "--quiet", cwd=tmp_path, TABLE="code")
    commit(tmp_path, "graph")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(capsys: pytest.CaptureFixture[str]) -> list[str]:
    commands.main(["lock", "--compare"], standalone_mode=False)
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_outputs_that_another_machine_makes_are_named_by_their_stage_and_no_later_one(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(capsys) == []
    run("dvc", "repro", "--quiet", "--force", cwd=finished, TABLE="dvc.yaml")
    lines = compared(capsys)
    assert [line.split(" is not ")[0] for line in lines] == [
        "warning: stage first: first",
        "warning: stage first: folder",
    ]
    assert all("`ontime verify --stage first`" in line and line.endswith("to undo it: `ontime drop`") for line in lines)


@pytest.mark.parametrize(("name", "text"), [("code", "2\n"), ("params.yaml", "depth: 2\n"), ("dvc.yaml", None)])
def test_an_experiment_is_no_surprise(
    finished: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None
) -> None:
    (finished / name).write_text(text or CHAIN.replace("cat code", "tac code"))
    run("dvc", "repro", "--quiet", cwd=finished, TABLE="code")
    assert (finished / "dvc.lock").read_bytes() != git_show(finished)
    assert compared(capsys) == []


def git_show(folder: Path) -> bytes:
    return subprocess.run(["git", "show", "HEAD:dvc.lock"], cwd=folder, capture_output=True, check=True).stdout


def test_a_first_run_has_nothing_to_compare_with(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(finished, "rm", "--quiet", "--cached", "dvc.lock")
    git(finished, "commit", "--quiet", "-m", "no lock")
    assert compared(capsys) == []
    locked = ordered((finished / "dvc.lock").read_text())
    assert list(unexplained({}, locked)) == list(unexplained(locked, {})) == []


def test_the_task_that_runs_the_graph_compares_afterwards() -> None:
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "\n\tontime lock\n\tdvc repro\n\tontime track\n\tontime lock --compare\n" in text
