"""A fork's first day: a table in place of the flights, a commit, and what CI checks, as far as it needs no graph."""

import re
import sys
from pathlib import Path

import pytest

from tests.checkouts import git
from tests.forks import in_fork, make_fork

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("fork")]
READS_THE_CHECKOUT = [
    *("tests/test_live.py", "tests/test_parameters.py", "tests/test_readme.py", "tests/test_architecture.py"),
    *("tests/test_pipelines.py", "tests/test_access_documents.py", "tests/test_imports.py", "tests/test_layout.py"),
    *("tests/backtest/test_documented.py", "tests/datasets/test_features.py", "tests/repository/test_lock_file.py"),
    *("tests/monitoring/test_label_table.py", "tests/monitoring/test_incidents.py", "tests/notebooks"),
    *("tests/pull_request/test_limits.py", "tests/retraining/test_settings.py", "tests/data_source/test_refresh.py"),
    *("tests/release/test_release_file.py", "tests/data_source/test_data_card.py"),
]
"""Tests that know this checkout's files; the others make their own."""
SEEN = ("README.md", "data", "dvc.yaml", "params.yaml", "argocd", "deployment", "notebooks", ".github")
"""What users of a model and its operators see."""
OF_FLIGHTS = re.compile(r"(?i)(?<!in )\bflights?\b|nycflights|departure|aircraft")
STAYS = ("src/ontime/datasets/flights.py",)
"""The module of the flights, which README.md names as an example and stages depend on."""


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed fork; tests only read it."""
    return make_fork(tmp_path_factory.mktemp("fork") / "checkout")


def test_tests_of_the_checkouts_own_files_are_green_in_a_fork(fork: Path) -> None:
    options = ["-n", "0", "-p", "no:cacheprovider", "-m", "not integration and not rehearsal"]
    in_fork(fork, sys.executable, "-m", "pytest", *options, *READS_THE_CHECKOUT)
    assert not git(fork, "status", "--porcelain")


def test_the_model_has_the_tables_name_wherever_a_file_names_it(fork: Path) -> None:
    served = (fork / "deployment" / "configurations" / "tensorflow-serving" / "models.config").read_text()
    assert 'name: "visits"' in served and 'base_path: "/models/visits"' in served
    component = fork / "deployment" / "kubernetes" / "components" / "tensorflow-serving" / "deployment.yaml"
    assert component.read_text().count("visits") == 4
    assert "8080/v2/models/visits\n" in (fork / "README.md").read_text()


def test_lint_is_green_in_a_fork(fork: Path) -> None:
    """Without mypy: `init` writes no Python."""
    in_fork(fork, "ruff", "format", "--check", "--no-cache", ".")
    in_fork(fork, "ruff", "check", "--no-cache", ".")
    in_fork(fork, "lint-imports", "--no-logo", "--no-cache")


def test_nothing_of_flights_is_left_in_what_people_see(fork: Path) -> None:
    left = []
    for name in git(fork, "ls-files", *SEEN).splitlines():
        for line in (fork / name).read_text(encoding="utf-8").splitlines():
            text = line
            for path in STAYS:
                text = text.replace(path, "")
            if OF_FLIGHTS.search(text):
                left.append(f"{name}: {line.strip()}")
    assert not left, "\n".join(left)
