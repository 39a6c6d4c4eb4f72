"""A fork's first day, whole: its graph, all fast tests, lint, manifests, a pull request's checks, the service."""

import json
import re
import shutil
import sys
import urllib.request
from pathlib import Path

import pytest

from ontime.common.files import read_json
from ontime.model_deployment.inference.signing import make_key, sign
from tests.checkouts import BIN, commit, git
from tests.forge import set_parameters
from tests.forks import in_fork, make_fork
from tests.services import serving

pytestmark = pytest.mark.rehearsal
NAME = "visits"


@pytest.fixture(scope="module", params=[".csv", ".parquet"])
def fork(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed fork whose graph has run."""
    checkout = make_fork(tmp_path_factory.mktemp("fork") / "checkout", request.param)
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "bin").symlink_to(BIN)
    in_fork(checkout, "dvc", "repro")
    commit(checkout, "our model")
    return checkout


def test_all_fast_tests_are_green(fork: Path) -> None:
    options = ["-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "-m", "not integration and not rehearsal"]
    in_fork(fork, sys.executable, "-m", "pytest", *options)
    assert not git(fork, "status", "--porcelain")


def test_lint_and_manifests_are_green(fork: Path) -> None:
    for command in (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["lint-imports", "--no-logo"],
        ["ontime", "manifests"],
    ):
        in_fork(fork, *command)


def test_a_pull_request_is_proven_and_judged(fork: Path) -> None:
    base = git(fork, "rev-parse", "HEAD").strip()
    assert "nothing to prove" in in_fork(fork, "ontime", "proof", "--base", base)
    in_fork(fork, "ontime", "s3")
    try:
        in_fork(fork, "dvc", "push")
        set_parameters(fork, "train.logistic_regression", C=0.2)
        in_fork(fork, "dvc", "repro")
        commit(fork, "another penalty")
        in_fork(fork, "dvc", "push")
        assert "dvc.lock: proven" in in_fork(fork, "ontime", "proof", "--base", base, "--output", "report")
        # whether the other penalty is better is not what is tested
        in_fork(fork, "ontime", "report", "--base", base, "--output", "report", check=False)
    finally:
        in_fork(fork, "ontime", "s3", "--off")
    assert "### Validation metrics, which decide" in (fork / "report" / "report.md").read_text(encoding="utf-8")
    shutil.rmtree(fork / "report")
    assert f"no manifest differs from {base}" in in_fork(fork, "ontime", "manifests", "--base", base)


def test_the_service_answers_for_the_forks_table(fork: Path, tmp_path: Path) -> None:
    champion = fork / "models" / "champion"
    shutil.copytree(champion, tmp_path / "model")
    make_key(tmp_path / "model.key")
    sign(tmp_path / "model", tmp_path / "model.sig", tmp_path / "model.key")
    body = json.dumps({"instances": [{"x": 0.5, "z": 0.1, "c": "a"}]}).encode()
    with serving(tmp_path, tmp_path / "log") as service:
        address = f"{service.url}/v1/models/{NAME}:predict"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            assert answer.status == 200
        pages = []
        for path in ("/", "/card", "/page.json"):
            with urllib.request.urlopen(service.url + path, timeout=60) as answer:  # noqa: S310
                pages.append(answer.read().decode())
    assert NAME in pages[1]
    assert not [page for page in pages if re.search("(?i)flight|departure", page)]
    assert read_json(champion / "manifest.json")["name"] == NAME
