"""The report of a branch, on a graph that has run: what changed, what it did, and the verdict."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.checkouts import commit, git, run, small_fork

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small fork whose graph has run and is committed as `main`."""
    top = small_fork(tmp_path_factory.mktemp("report") / "checkout")
    run("dvc", "repro", cwd=top)
    commit(top, "graph")
    yield top


def edit(checkout: Path, section: str, **values: object) -> None:
    """Change parameters and run the graph."""
    yaml = YAML()
    content = yaml.load(checkout / "params.yaml")
    place = content
    for name in section.split("."):
        place = place[name]
    place.update(values)
    yaml.dump(content, checkout / "params.yaml")
    run("dvc", "repro", cwd=checkout)


def restore(checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "main", "--", ".")
    run("dvc", "checkout", "--force", cwd=checkout)


def test_nothing_changed_is_a_report_that_says_so(checkout: Path) -> None:
    done = run("ontime", "report", "--base", "main", cwd=checkout)
    assert done.stdout == "report/report.md: passed: nothing is worse than allowed\n"
    text = (checkout / "report" / "report.md").read_text()
    assert text.startswith("<!-- ontime report -->\n\n## Gate passed\n")
    assert text.count("No change.") == 3
    for name in ("roc.png", "calibration.png"):
        assert f"]({name})" in text
        assert (checkout / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_what_was_not_pulled_is_not_told_to_be_deleted(checkout: Path) -> None:
    """A workflow pulls what it compares; here the rest is away too."""
    try:
        shutil.rmtree(checkout / "data" / "processed" / "features")
        shutil.rmtree(checkout / "data" / "raw")
        run("ontime", "report", "--base", "main", cwd=checkout)
        assert "deleted" not in (checkout / "report" / "report.md").read_text()
    finally:
        restore(checkout)


def test_the_same_change_has_the_same_report_with_its_parameters_and_outputs(checkout: Path) -> None:
    try:
        edit(checkout, "train.logistic_regression", C=0.2)
        run("ontime", "report", "--base", "main", "--image-url", "https://example.invalid/", cwd=checkout, check=False)
        first = {path.name: path.read_bytes() for path in (checkout / "report").iterdir()}
        run("ontime", "report", "--base", "main", "--image-url", "https://example.invalid/", cwd=checkout, check=False)
        assert {path.name: path.read_bytes() for path in (checkout / "report").iterdir()} == first
        text = first["report.md"].decode()
        assert "- `train.logistic_regression.C`: `0.1` → `0.2`" in text
        assert "- modified: `models/training_runs/logistic_regression/model/`" in text
        assert "](https://example.invalid/roc.png)" in text
    finally:
        restore(checkout)


@pytest.mark.parametrize("base", ["nowhere", "HEAD~99"])
def test_an_unknown_base_is_one_line(checkout: Path, base: str) -> None:
    done = run("ontime", "report", "--base", base, cwd=checkout, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: --base {base}: no such revision\n")


def test_a_base_whose_outputs_are_nowhere_is_one_line(checkout: Path) -> None:
    done = run("ontime", "report", "--base", "main~1", cwd=checkout, check=False)
    assert done.returncode == 1
    assert "neither in the cache nor in the remote" in done.stderr
    assert len(done.stderr.splitlines()) == 1
