"""DVC's experiments that differ by code: each runs its own, and the run cache keeps outputs of the right code."""

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from ontime.common.files import write_parquet, write_text
from ontime.repository.lock_file import ordered, outputs
from tests.checkouts import commit, copy_checkout, git, run

CODE = "src/ontime/data_processing/validate.py"
LINE = "    write_json(paths.VALIDATION_REPORT, reports)\n"
REPORT = "data/processed/validation.json"
GRAPH = f"""\
stages:
  validate:
    cmd: ontime validate
    deps: [data/raw, {CODE}]
    outs: [{REPORT}]
"""
IDEAS = ("first", "second")
SECONDS = 180

pytestmark = pytest.mark.integration


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, not the one that `ontime` is installed from, with a graph of one stage that has run."""
    top = copy_checkout(tmp_path / "checkout")
    (top / "dvc.yaml").write_text(GRAPH)
    (top / ".gitignore").write_text(f".venv/\n__pycache__/\n/{REPORT}\n")
    shutil.rmtree(top / "data" / "schema")
    write_text(top / "data" / "schema" / "numbers.yaml", "fields: [{name: number, type: integer}]\n")
    write_parquet(pd.DataFrame({"number": [1, 2]}), top / "data" / "raw" / "numbers" / "numbers.parquet")
    for key, value in (("name", "test"), ("email", "test@example.invalid")):
        git(top, "config", f"user.{key}", value)
    run("dvc", "repro", "--quiet", cwd=top)
    commit(top, "graph")
    return top


def with_idea(checkout: Path, idea: str) -> None:
    """Change the code so that what it writes has the idea's name."""
    text = git(checkout, "show", f"HEAD:{CODE}")
    assert text.count(LINE) == 1
    (checkout / CODE).write_text(text.replace(LINE, LINE.replace("reports", f'{{**reports, "note": "{idea}"}}')))


def note_of(checkout: Path, idea: str) -> str:
    """The idea's name in what the stage wrote in an experiment."""
    (ref,) = git(checkout, "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{idea}").split()
    md5 = outputs(ordered(git(checkout, "show", f"{ref}:dvc.lock")))[REPORT]
    content = json.loads((checkout / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).read_text())
    return str(content.get("note"))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_queued_experiments_run_their_own_code(checkout: Path, jobs: str) -> None:
    for idea in IDEAS:
        with_idea(checkout, idea)
        run("dvc", "exp", "run", "--queue", "--name", idea, "validate", cwd=checkout)
    git(checkout, "checkout", "--quiet", CODE)
    run("dvc", "queue", "start", "--jobs", jobs, cwd=checkout)
    end = time.monotonic() + SECONDS
    while not finished(checkout):
        assert time.monotonic() < end, run("dvc", "queue", "status", cwd=checkout).stdout
        time.sleep(0.5)
    assert [note_of(checkout, idea) for idea in IDEAS] == list(IDEAS)
    for idea in IDEAS:
        with_idea(checkout, idea)
        run("dvc", "repro", "--quiet", cwd=checkout)
        assert json.loads((checkout / REPORT).read_text())["note"] == idea


def finished(checkout: Path) -> bool:
    """Whether every queued experiment has run."""
    lines = run("dvc", "queue", "status", cwd=checkout).stdout.splitlines()
    states = [line.split()[-1] for line in lines if any(f" {idea} " in line for idea in IDEAS)]
    assert "Failed" not in states, lines
    return states == ["Success"] * len(IDEAS)


def test_an_experiment_in_a_temporary_folder_runs_its_own_code(checkout: Path) -> None:
    with_idea(checkout, "first")
    run("dvc", "exp", "run", "--temp", "--name", "first", "validate", cwd=checkout)
    assert note_of(checkout, "first") == "first"


def test_all_queued_experiments_at_once_run_their_own_code(checkout: Path) -> None:
    for idea in IDEAS:
        with_idea(checkout, idea)
        run("dvc", "exp", "run", "--queue", "--name", idea, "validate", cwd=checkout)
    git(checkout, "checkout", "--quiet", CODE)
    run("dvc", "exp", "run", "--run-all", "--jobs", "2", cwd=checkout)
    assert [note_of(checkout, idea) for idea in IDEAS] == list(IDEAS)
