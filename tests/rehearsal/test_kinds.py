"""A fork of classes and one of numbers, as a team does it: `ontime init`, the graph, a release, a branch's report.

Rows of both tables count once to three times.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from ontime.common.files import read_json
from ontime.release.release_file import parse, path_of
from tests.checkouts import commit, copy_checkout, git, run
from tests.commands import make_small
from tests.releases import IMAGE_LINKS, LINKS, identify, push_release
from tests.task_graphs import KINDS, Kind

pytestmark = [pytest.mark.rehearsal, pytest.mark.usefixtures("isolation")]
VERSION = "v1.0.0"
WEIGHT = "times"
ROWS = 2400
"""So many that a model without the column is no match, and still better than none by more than chance."""


@dataclass(frozen=True)
class Branch:
    """A branch without a column that the model needs, and what the report says of it."""

    without: str
    failed: str
    metrics: tuple[str, ...]
    images: tuple[str, ...]


BRANCHES = {
    "multiclass": Branch(
        "width", "log_loss", ("log_loss", "roc_auc_ovr", "accuracy", "f1_macro"), ("roc", "calibration")
    ),
    "regression": Branch("area", "rmse", ("rmse", "mae", "r2"), ("errors", "calibration")),
}


@pytest.fixture(scope="module", params=BRANCHES)
def kind(request: pytest.FixtureRequest) -> Kind:
    """One task after the other."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def fork(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed fork whose graph has run, with an origin and a DVC remote."""
    folder = tmp_path_factory.mktemp(kind.task)
    top = copy_checkout(folder / "checkout")
    identify(top)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"))
    git(top, "remote", "add", "origin", str(folder / "origin.git"))
    run("dvc", "remote", "add", "--default", "store", str(folder / "store"), cwd=top)
    (top / "dvc.lock").unlink()
    (top / "data" / "external").mkdir(parents=True, exist_ok=True)
    table = kind.table(ROWS).assign(**{WEIGHT: np.random.default_rng(3).integers(1, 4, ROWS)})
    table.to_csv(top / "data" / "external" / "table.csv", index=False)
    options = ["--target", kind.target, "--key", kind.key, "--exclude", kind.time, "--weight", WEIGHT, "--no-run"]
    assert kind.said in run("ontime", "init", "--source", "data/external/table.csv", *options, cwd=top).stdout
    make_small(top / "params.yaml")
    commit(top, "fork")
    run("dvc", "repro", cwd=top)
    commit(top, "graph")
    assert read_json(top / "models" / "champion" / "manifest.json")["task"] == kind.task
    return top


def test_it_is_released_as_a_signed_image_and_traced_back(fork: Path, host: str) -> None:
    run("ontime", "sign", "--new-key", cwd=fork)
    run("dvc", "push", cwd=fork)
    git(fork, "push", "--quiet", "origin", "main")
    head, digest = git(fork, "rev-parse", "HEAD").strip(), push_release(fork, host, VERSION)
    tag = f"table@{VERSION}"
    for arguments in (
        ["register", VERSION, "--push"],
        ["check", tag],
        ["write", "--tag", tag, "--digest", digest, "--image", f"{host}/team/ontime"],
        ["publish", "--tag", tag],
    ):
        run("ontime", "release", *arguments, cwd=fork)
    found = parse((fork / path_of("staging")).read_text(encoding="utf-8"), "staging")
    assert found is not None
    assert (found.version, found.commit, found.digest) == (VERSION, head, digest)
    done = run("ontime", "verify", "release", "staging", cwd=fork, check=False)
    assert [line[:16].strip() for line in done.stdout.splitlines()] == [*LINKS, *IMAGE_LINKS], done.stderr
    assert done.stderr.startswith("error: layers: a key signs the model, not the image; add --rebuild")


def test_a_branch_is_reported_and_judged(kind: Kind, fork: Path) -> None:
    branch = BRANCHES[kind.task]
    content = YAML().load(fork / "params.yaml")
    content["data"]["options"]["exclude"].append(branch.without)
    content["export"]["page_features"].remove(branch.without)
    YAML().dump(content, fork / "params.yaml")
    run("dvc", "repro", cwd=fork)
    done = run("ontime", "report", "--base", "main", cwd=fork, check=False)
    text = (fork / "report" / "report.md").read_text(encoding="utf-8")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: gate: failed: {branch.failed} from ")
    told = (f" rows, weighted by `{WEIGHT}`.", "`data.options.exclude`")
    for expected in (*(f"| {name} |" for name in branch.metrics), *told):
        assert expected in text
    for name in branch.images:
        assert f"]({name}.png)" in text
        assert (fork / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "threshold" not in text
