"""`dvc.lock` and `.dvc` files read: order, commits, conflict markers, damage."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.lock_file import committed_lock, is_import, outputs, read_lock, tracked
from tests.checkouts import commit, git
from tests.live import live

LOCK = """schema: '2.0'
stages:
  last:
    cmd: c
    deps: [{path: b}, {path: c}]
    outs: [{path: d, md5: '4'}]
  middle:
    cmd: b
    deps: [{path: a}]
    outs: [{path: b, md5: '2'}, {path: c, md5: '3'}]
  first:
    cmd: a
    deps: [{path: code}]
    outs: [{path: a, md5: '1'}]
"""


def test_stages_come_after_those_whose_outputs_they_read(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    stages = read_lock(tmp_path / "dvc.lock")
    assert list(stages) == ["first", "middle", "last"]
    assert stages["last"]["outs"] == [{"path": "d", "md5": "4"}]


def test_the_graph_of_the_checkout_is_locked_in_order() -> None:
    stages = read_lock(live("dvc.lock"))
    names = list(stages)
    assert names[0] == "ingest"
    assert names[-1] == "export"
    made: set[str] = set()
    outputs = {out["path"] for stage in stages.values() for out in stage["outs"]}
    for name, stage in stages.items():
        needed = {dep["path"] for dep in stage["deps"]} & outputs
        assert needed <= made, name
        made |= {out["path"] for out in stage["outs"]}


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD\n", "<<<<<<< ours\n"])
@pytest.mark.parametrize("place", [0, 1, 5])
def test_conflict_markers_are_named_with_the_command_that_resolves_them(
    tmp_path: Path, marker: str, place: int
) -> None:
    lines = LOCK.splitlines(keepends=True)
    (tmp_path / "dvc.lock").write_text("".join([*lines[:place], marker, *lines[place:]]))
    with pytest.raises(OntimeError, match=r"^dvc\.lock: has merge conflict markers; resolve it with `ontime lock`$"):
        read_lock(tmp_path / "dvc.lock")


def test_an_absent_lock_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"^dvc\.lock: not found; run `dvc repro` first$"):
        read_lock(tmp_path / "dvc.lock")


@pytest.mark.parametrize("content", ["", "schema: '2.0'\n", "stages: [", "stages:\n"])
def test_a_broken_lock_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(OntimeError, match=r"^dvc\.lock: not a lock file; [^\n]+$"):
        read_lock(tmp_path / "dvc.lock")


def test_stages_whose_outputs_are_each_others_inputs_are_one_line(tmp_path: Path) -> None:
    stage = "  {0}: {{cmd: c, deps: [{{path: {1}}}], outs: [{{path: {0}, md5: '1'}}]}}\n"
    (tmp_path / "dvc.lock").write_text(f"stages:\n{stage.format('a', 'b')}{stage.format('b', 'a')}")
    with pytest.raises(OntimeError, match=r"^dvc\.lock: its stages form a cycle; [^\n]+$"):
        read_lock(tmp_path / "dvc.lock")


def test_a_stage_without_inputs_or_outputs_has_none(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("stages:\n  a: {cmd: c, outs: [{path: a, md5: '1'}]}\n  b: {cmd: c}\n")
    stages = read_lock(tmp_path / "dvc.lock")
    assert (stages["a"]["deps"], stages["b"]["outs"]) == ([], [])
    assert outputs(stages) == {"a": "1"}


def test_a_commits_lock_is_read_without_checking_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    for message, text in (("none", None), ("whole", LOCK), ("broken", "stages: [")):
        if text is not None:
            (tmp_path / "dvc.lock").write_text(text)
        (tmp_path / "message").write_text(message)
        commit(tmp_path, message)
    monkeypatch.chdir(tmp_path)
    assert committed_lock("HEAD~2") == {}
    assert list(committed_lock("HEAD~1")) == ["first", "middle", "last"]
    with pytest.raises(OntimeError, match=r"^dvc\.lock of HEAD: not a lock file; [^\n]+$"):
        committed_lock("HEAD")


def test_a_file_that_dvc_tracks_by_itself_is_named_from_the_top_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.dvc").write_text("deps:\n- path: s3://bucket/a\nouts: [{path: a, md5: '1'}]\n")
    (folder / "b.dvc").write_text("outs: [{path: b, md5: '2'}]\n")
    assert tracked(folder / "a.dvc") == {str(folder / "a"): "1"}
    assert is_import(folder / "a.dvc")
    assert not is_import(folder / "b.dvc")


@pytest.mark.parametrize("content", ["", "outs: [", "outs: [a]\n", "[]\n"])
def test_another_file_with_that_ending_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.dvc").write_text(content)
    with pytest.raises(OntimeError, match=r"^[^\n]+a\.dvc: not a file that `dvc add` or `dvc import` wrote$"):
        tracked(tmp_path / "a.dvc")
