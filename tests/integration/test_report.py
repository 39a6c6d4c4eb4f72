"""The report of a branch, on a graph that has run: what changed, what it did, and the verdict."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.common.files import read_json
from tests.checkouts import commit, git, reproduce, run
from tests.forge import LEFT, set_parameters

pytestmark = pytest.mark.integration
SHOW = ("dvc", "exp", "show", "--only-changed", "--drop", ".*/|Created", "--no-pager")
"""The champion's metric and the changed parameters, which the documents show."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, copy_of_run: Callable[[Path], Path]) -> Path:
    """A small fork whose graph has run and is committed as `main`."""
    top = copy_of_run(tmp_path_factory.mktemp("report") / "checkout")
    commit(top, "graph")
    return top


def edit(checkout: Path, section: str, **values: object) -> None:
    """Change parameters and run the graph."""
    yaml = YAML()
    content = yaml.load(checkout / "params.yaml")
    place = content
    for name in section.split("."):
        place = place[name]
    place.update(values)
    yaml.dump(content, checkout / "params.yaml")
    reproduce(checkout)


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


def test_the_same_change_has_the_same_report_with_its_parameters_and_outputs(checkout: Path) -> None:
    try:
        edit(checkout, "train.logistic_regression", C=0.2)
        run("ontime", "report", "--base", "main", "--image-url", "https://example.invalid/", cwd=checkout, check=False)
        first = {path.name: path.read_bytes() for path in (checkout / "report").iterdir()}
        run("ontime", "report", "--base", "main", "--image-url", "https://example.invalid/", cwd=checkout, check=False)
        assert {path.name: path.read_bytes() for path in (checkout / "report").iterdir()} == first
        text = first["report.md"].decode()
        assert "- `train.logistic_regression.C`: `1.0` → `0.2`" in text
        assert "- modified: `models/training_runs/logistic_regression/model/`" in text
        assert "](https://example.invalid/roc.png)" in text
        assert re.search(r"<details><summary>\d+ modified</summary>\n\n- modified: ", text)
        assert re.search(r"### Validation metrics, which decide\n\n\d+ rows\.\n", text)
        shown = run(*SHOW, cwd=checkout, COLUMNS="200").stdout
        assert "train.logistic_regression.C" in shown and "models/" not in shown
        assert max(map(len, shown.splitlines())) <= 100
    finally:
        restore(checkout)


def test_an_output_that_was_not_fetched_is_not_a_deleted_one(checkout: Path) -> None:
    try:
        shutil.rmtree(checkout / "data" / "raw")
        run("ontime", "report", "--base", "main", cwd=checkout)
        text = (checkout / "report" / "report.md").read_text()
        assert "- deleted:" not in text
        assert text.count("No change.") == 3
    finally:
        restore(checkout)


@pytest.mark.attack("own-gate")
def test_a_worse_model_fails_by_the_bases_limits_whatever_the_branch_sets(checkout: Path) -> None:
    try:
        numbers = read_json(checkout / "data" / "processed" / "feature_layout.json")["numbers"]
        anything = {"absolute": 10.0, "relative": 10.0}
        set_parameters(checkout, "gate", metrics={"roc_auc": anything}, slices=anything, resamples=100)
        set_parameters(checkout, "data.options", exclude=[name for name in numbers if name not in LEFT])
        set_parameters(checkout, "export", page_features=[*LEFT])
        reproduce(checkout)
        done = run("ontime", "report", "--base", "main", cwd=checkout, check=False)
        assert done.returncode == 1
        assert re.match(
            r"error: gate: failed: roc_auc from [01]\.\d+ to 0\.\d+, 0\.\d+ worse, allowed 0\.0040;", done.stderr
        )
        text = (checkout / "report" / "report.md").read_text()
        assert "### Limits of the gate that this branch changes" in text
        assert "- `gate.metrics.roc_auc.absolute`: `0.004` in the base, `10.0` here" in text
        assert "- `gate.metrics.log_loss.relative`: `0.006` in the base, not judged here" in text
        assert "not applied here, but to pull requests after this one is merged" in text
    finally:
        restore(checkout)


@pytest.mark.parametrize("base", ["nowhere", "HEAD~99"])
def test_an_unknown_base_is_one_line(checkout: Path, base: str) -> None:
    done = run("ontime", "report", "--base", base, cwd=checkout, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: --base {base}: no such revision\n")


def test_a_base_from_before_the_graph_ran_is_one_line(checkout: Path) -> None:
    done = run("ontime", "report", "--base", "main~1", cwd=checkout, check=False)
    assert done.returncode == 1
    assert "not in dvc.lock there" in done.stderr
    assert len(done.stderr.splitlines()) == 1
