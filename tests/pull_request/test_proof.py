"""What a change has to prove: no stage left to run, nothing unpushed, and the same hashes when it runs again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.pull_request.proof import command, is_pipeline_file, stale_reasons
from ontime.repository.cache import command as cache
from ontime.repository.lock_file import LOCK, outputs, read_lock
from tests.checkouts import BIN, commit, git, run

INPUTS = {"src/ontime/common/files.py", "data/schema", "requirements.txt"}
GRAPH = """\
stages:
  first: {cmd: cat code table > first, deps: [code, table], outs: [first]}
  evaluate: {cmd: cp first evaluated, deps: [first], params: [depth], outs: [evaluated]}
  baselines: {cmd: mkdir rates && echo 1 > rates/base, deps: [code], outs: [rates]}
  select: {cmd: cat evaluated rates/base > selected, deps: [evaluated, rates], outs: [selected]}
"""
OUTPUTS = ("first", "evaluated", "rates", "selected")
Proof = Callable[..., str]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dvc.yaml", True),
        ("dvc.lock", True),
        ("params.yaml", True),
        (".dvc/config", True),
        ("data/external/table.csv.dvc", True),
        ("src/ontime/common/files.py", True),
        ("data/schema/flights.yaml", True),
        ("data/schema.md", False),
        ("README.md", False),
        ("src/ontime/model_deployment/service/app.py", False),
    ],
)
def test_a_pipeline_file_is_one_that_a_stage_reads_or_that_says_what_stages_do(name: str, expected: bool) -> None:
    assert is_pipeline_file(name, INPUTS) is expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"changed deps": {"a": "deleted"}}, {"changed outs": {"b": "not in cache"}}], []),
        ([{"changed deps": {"a": "modified"}}], ["a"]),
        ([{"changed deps": {"code": "deleted"}}], ["code"]),
        (
            [{"changed deps": {"params.yaml": {"depth": "modified", "width": "new"}}}],
            ["params.yaml depth", "params.yaml width"],
        ),
        ([{"changed outs": {"new": "deleted"}}], ["new"]),
        (["changed command"], ["command"]),
        (["always changed"], ["always changed"]),
    ],
)
def test_data_that_is_not_here_makes_no_stage_stale_and_anything_else_does(
    entries: list[object], expected: list[str]
) -> None:
    assert list(stale_reasons(entries, {"a": "1", "b": "2"})) == expected


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph that has run, with a folder as remote; `main` is its first commit."""
    top = tmp_path_factory.mktemp("proof") / "checkout"
    top.mkdir()
    for name, text in {"dvc.yaml": GRAPH, "code": "1\n", "params.yaml": "depth: 1\n", "README.md": "1\n"}.items():
        (top / name).write_text(text)
    git(top, "init", "--quiet", "--initial-branch=main")
    run("dvc", "init", "--quiet", cwd=top)
    run("dvc", "remote", "add", "--quiet", "--default", "remote", str(top.parent / "remote"), cwd=top)
    (top / "table").write_text("rows\n")
    run("dvc", "add", "--quiet", "table", cwd=top)
    run("dvc", "repro", "--quiet", cwd=top)
    run("dvc", "push", "--quiet", cwd=top)
    commit(top, "graph")
    return top


@pytest.fixture
def checkout(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A branch in a clone with data, where somebody works."""
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    shutil.copytree(finished.parent / "remote", tmp_path / "remote")
    work = clone(finished, tmp_path / "work")
    git(work, "switch", "--quiet", "--create", "branch")
    run("dvc", "pull", "--quiet", cwd=work)
    return work


def clone(source: Path, target: Path) -> Path:
    """A clone without data that knows the remote."""
    git(target.parent, "clone", "--quiet", str(source), str(target))
    run("dvc", "remote", "modify", "--local", "--quiet", "remote", "url", str(target.parent / "remote"), cwd=target)
    return target


@pytest.fixture
def proof(checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Proof:
    """A function that proves the branch in a fresh clone, where it stays, and returns what it prints."""

    def prove(*arguments: str) -> str:
        monkeypatch.chdir(clone(checkout, checkout.parent / "fresh"))
        git(Path.cwd(), "fetch", "--quiet", "origin", "main:main")
        capfd.readouterr()
        command.main(["--base", "main", *arguments], standalone_mode=False)
        return capfd.readouterr().out

    return prove


def change(checkout: Path, path: str, text: str, push: bool = True) -> None:
    """Change a file, run what that touches, push, and commit."""
    (checkout / path).write_text(text)
    run("dvc", "repro", "--quiet", cwd=checkout)
    if push:
        run("dvc", "push", "--quiet", cwd=checkout)
    commit(checkout, path)


@pytest.mark.integration
def test_a_change_to_no_pipeline_file_runs_and_pulls_nothing(checkout: Path, proof: Proof) -> None:
    (checkout / "README.md").write_text("2\n")
    (checkout / "new.txt").write_text("2\n")
    commit(checkout, "words")
    assert proof() == "no pipeline file differs from main: nothing to prove\n"
    assert not [name for name in OUTPUTS if Path(name).exists()]


@pytest.mark.integration
def test_what_changed_runs_again_on_pulled_inputs_and_the_rest_stays_away(checkout: Path, proof: Proof) -> None:
    change(checkout, "params.yaml", "depth: 2\n")
    told = proof()
    assert "pipeline files that differ from main: dvc.lock, params.yaml\n" in told
    assert "1 of 4 stages run again: evaluate\n" in told
    assert told.endswith("dvc.lock: proven\n")
    assert not Path("table").exists()
    assert all(Path(name).exists() for name in ("evaluated", "rates", "selected"))
    assert LOCK.read_bytes() == (checkout / LOCK).read_bytes()


@pytest.mark.integration
def test_a_stage_that_would_run_is_named_with_what_changed(checkout: Path, proof: Proof, tmp_path: Path) -> None:
    (checkout / "code").write_text("2\n")
    commit(checkout, "code alone")
    with pytest.raises(OntimeError, match=r"^stage baselines: stale, changed: code; run `dvc repro`"):
        proof("--output", str(tmp_path / "report"))
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.startswith("<!-- ontime report -->\n")
    assert "- stage first: stale, changed: code;" in text
    assert not Path("first").exists()


@pytest.mark.integration
def test_a_stage_whose_input_is_locked_with_another_hash_is_stale_without_any_data(
    checkout: Path, proof: Proof, capfd: pytest.CaptureFixture[str]
) -> None:
    change(checkout, "code", "2\n")
    lock = checkout / LOCK
    before = read_lock(lock)["evaluate"]["deps"][0]["md5"]
    lock.write_text(lock.read_text().replace(before, "f" * 32, 1))
    commit(checkout, "by hand")
    with pytest.raises(OntimeError):
        proof()
    assert re.search(r"^error: stage (evaluate|select): stale, changed: first;", capfd.readouterr().err, re.MULTILINE)


@pytest.mark.integration
def test_outputs_that_were_not_pushed_are_named_in_a_line_each(
    checkout: Path, proof: Proof, capfd: pytest.CaptureFixture[str]
) -> None:
    change(checkout, "code", "2\n", push=False)
    with pytest.raises(OntimeError, match=r"^output selected: not in the remote; run `dvc push`$"):
        proof()
    assert "error: output first: not in the remote; run `dvc push`\n" in capfd.readouterr().err


@pytest.mark.integration
def test_a_part_of_a_folder_that_is_gone_from_the_remote_comes_back_by_the_command_that_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout)
    command.main([], standalone_mode=False)
    (md5,) = [entry["md5"] for entry in listing(checkout, "rates")]
    (checkout.parent / "remote" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(OntimeError, match=r"^output rates: not in the remote; run `ontime cache --push`$"):
        command.main([], standalone_mode=False)
    run("dvc", "push", cwd=checkout)
    with pytest.raises(OntimeError, match=r"^output rates: "):
        command.main([], standalone_mode=False)
    capfd.readouterr()
    cache.main(["--push"], standalone_mode=False)
    assert capfd.readouterr().out.splitlines()[-1] == "1 objects pushed"
    command.main([], standalone_mode=False)
    cache.main(["--push"], standalone_mode=False)
    assert capfd.readouterr().out.splitlines()[-1] == "0 objects pushed"


@pytest.mark.integration
def test_an_object_that_is_neither_here_nor_in_the_remote_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    (md5,) = [entry["md5"] for entry in listing(checkout, "rates")]
    for place in (checkout.parent / "remote", checkout / ".dvc" / "cache"):
        (place / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(OntimeError, match=rf"^object {md5}: not pushed: the cache lacks it [^\n]+$"):
        cache.main(["--push"], standalone_mode=False)


def listing(checkout: Path, output: str) -> list[dict[str, str]]:
    """What DVC's cache lists of a folder."""
    md5 = outputs(read_lock(checkout / LOCK))[output]
    entries: list[dict[str, str]] = json.loads((checkout / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).read_text())
    return entries


@pytest.mark.integration
def test_a_lock_that_the_code_does_not_make_is_named_by_stage_and_output(checkout: Path, proof: Proof) -> None:
    change(checkout, "params.yaml", "depth: 2\n")
    # somebody locks an output that the command did not write
    (checkout / "evaluated").write_text("better\n")
    run("dvc", "commit", "--quiet", "--force", "evaluate", cwd=checkout)
    run("dvc", "repro", "--quiet", "select", cwd=checkout)
    run("dvc", "push", "--quiet", cwd=checkout)
    commit(checkout, "by hand")
    with pytest.raises(OntimeError, match=r"^stage select: selected is not what dvc\.lock says"):
        proof()


@pytest.mark.integration
def test_without_the_remote_the_base_makes_the_inputs(checkout: Path, proof: Proof) -> None:
    git(checkout, "rm", "--quiet", "--cached", "table.dvc")
    (checkout / "table.dvc").unlink()
    (checkout / "table").write_text("rows\n")
    (checkout / ".gitignore").write_text("".join(f"/{name}\n" for name in OUTPUTS))
    commit(checkout, "the table in git")
    git(checkout, "branch", "--force", "main")
    change(checkout, "params.yaml", "depth: 2\n", push=False)
    shutil.rmtree(checkout.parent / "remote")
    assert "1 of 4 stages run again: evaluate\n" in proof("--no-remote")
    assert Path("selected").exists()


@pytest.mark.integration
def test_without_a_base_only_what_needs_no_run_is_proven(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone(checkout, checkout.parent / "fresh"))
    command.main([], standalone_mode=False)
    assert capfd.readouterr().out == "dvc.lock: proven\n"
    assert not Path("selected").exists()


@pytest.mark.integration
def test_an_unknown_base_is_one_line(proof: Proof) -> None:
    with pytest.raises(OntimeError, match=r"^--base nowhere: no such revision$"):
        proof("--base", "nowhere")


@pytest.mark.integration
def test_a_remote_that_cannot_be_asked_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.chdir(checkout)
    run("dvc", "remote", "modify", "--local", "--quiet", "remote", "url", "s3://nowhere/dvc", cwd=checkout)
    run("dvc", "remote", "modify", "--local", "--quiet", "remote", "endpointurl", "http://127.0.0.1:9", cwd=checkout)
    with pytest.raises(OntimeError, match=r"^dvc data status: Could not connect to the endpoint URL"):
        command.main([], standalone_mode=False)
