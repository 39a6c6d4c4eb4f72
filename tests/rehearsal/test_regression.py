"""A regression as a fork does it: `ontime init`, the graph by DVC, a column less, and the report of a branch."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.common.files import read_json
from tests.checkouts import commit, copy_checkout, run
from tests.commands import make_small
from tests.task_graphs import prices

pytestmark = pytest.mark.rehearsal


def test_a_branch_of_a_regression_is_reported_and_judged(tmp_path: Path) -> None:
    top = copy_checkout(tmp_path / "checkout")
    (top / "dvc.lock").unlink()
    (top / "data" / "external").mkdir(parents=True, exist_ok=True)
    prices().to_csv(top / "data" / "external" / "prices.csv", index=False)
    options = ["--source", "data/external/prices.csv", "--target", "price", "--key", "house"]
    done = run("ontime", "init", *options, "--no-run", cwd=top)
    assert "task regression: price is a number from " in done.stdout
    make_small(top / "params.yaml")
    commit(top, "fork")
    run("dvc", "repro", cwd=top)
    commit(top, "graph")
    assert read_json(top / "models" / "selection.json")["champion"] == "linear_regression"

    content = YAML().load(top / "params.yaml")
    content["data"]["options"]["exclude"] = ["area"]
    content["export"]["page_features"].remove("area")
    YAML().dump(content, top / "params.yaml")
    run("dvc", "repro", cwd=top)
    done = run("ontime", "report", "--base", "main", cwd=top, check=False)
    text = (top / "report" / "report.md").read_text()
    assert done.returncode == 1
    assert done.stderr.startswith("error: gate: failed: rmse from ")
    for expected in ("| rmse |", "| mae |", "| r2 |", "`data.options.exclude`"):
        assert expected in text
    for name in ("errors.png", "calibration.png"):
        assert f"]({name})" in text
        assert (top / "report" / name).read_bytes().startswith(b"\x89PNG")
    assert "robability" not in text
