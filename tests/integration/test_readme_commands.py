"""Every command of the README runs, in its order, on a checkout whose graph is small."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkouts import TOP, git, run
from tests.pages import command_lines

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(7200)]
ELSEWHERE = {
    "make test": "runs this test",
    "make lint": "a step of its own",
    "make mlflow": "serves until it is stopped; see test_mlflow_server.py",
    "make serve": "serves until it is stopped; see test_service.py",
    "make image": "see test_image.py",
    "make acceptance": "see test_command_examples.py",
    "make airflow": "serves until it is stopped; see test_airflow.py",
    "make docs": "see test_site.py",
    "make notebook": "serves until it is stopped; see test_notebooks.py",
    "make pull-request": "see test_remote_workflows.py",
    "ontime monitor day": "a name here; see test_day.py",
    "ontime release mirror": "see test_mirror.py",
    "make setup": "made this environment",
    "make setup-spark": "made this environment",
    "make requirements": "asks the package index",
    "pytest": "runs this test",
    "source": "this environment is active",
    "docker": "see test_image.py",
    "curl": "see test_service.py",
    "kubectl": "see test_loop.py",
    "make rehearsal": "see test_loop.py",
    "ontime release assign": "see test_loop.py",
    "ontime verify production": "see test_loop.py",
}
"""Commands that are not run here, by how they begin, and why."""
PLACEHOLDERS = {
    "--target COLUMN": "--target target",
    "--time COLUMN": "",
    "--key COLUMN": "",
    "--exclude COLUMN": "--exclude mean_radius",
    "FILE": "data/external/tumours.csv",
    "dvc add data/external/tumours.csv": "dvc add ../more.csv --out more.csv",
    "s3://BUCKET/PREFIX": "s3://ontime-models/dvc",
    "gradient_boosting.learning_rate=0.1": "logistic_regression.C=0.5",
    "ontime tune gradient_boosting": "ontime tune logistic_regression --trials 2",
    "train.gradient_boosting": "train.logistic_regression",
}


def steps() -> Iterator[str]:
    """Commands of the README's code blocks, a task of the Makefile as the lines of its recipe."""
    for line in command_lines(TOP / "README.md"):
        if line == "make" or any(line == begin or line.startswith(f"{begin} ") for begin in ELSEWHERE):
            continue
        for placeholder, value in PLACEHOLDERS.items():
            line = line.replace(placeholder, value)
        yield from recipe(line.split()[1]) if line.startswith("make ") else [line]


def recipe(task: str) -> list[str]:
    """What a task of the Makefile runs."""
    found = re.search(rf"^{task}:[^\n]*\n((?:\t[^\n]*\n)+)", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert found, task
    return [line.strip() for line in found[1].splitlines()]


def test_every_command_of_the_readme_runs(tmp_path: Path, copy_of_run: Callable[[Path], Path]) -> None:
    checkout = copy_of_run(tmp_path / "checkout")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "graph")
    (tmp_path / "more.csv").write_bytes((checkout / "data" / "external" / "tumours.csv").read_bytes())
    done = []
    try:
        for step in steps():
            words = shlex.split(step, comments=True)
            run("env", *words, cwd=checkout)
            done.append(step)
    finally:
        run("ontime", "s3", "--off", cwd=checkout, check=False)
    assert {"dvc push", "ontime pull", "ontime verify", "dvc plots show"} <= set(done)
