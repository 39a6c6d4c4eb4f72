"""A story told by tests: chapters in their order, each skipped with the reason if one that it needs did not pass.

The cluster's state is printed with a chapter that failed. At the end all figures are one JSON object: printed, and
written where ONTIME_REHEARSAL_FIGURES names a file.
"""

import json
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from ontime.common.files import write_json
from tests.containers import KEPT, new_store

OUTCOMES = pytest.StashKey[dict[str, str]]()
FIGURES = pytest.StashKey[dict[str, Any]]()
MOST_DEBUG = 60_000
"""Letters of the cluster's state that are printed."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known and the places where chapters leave something."""
    config.addinivalue_line("markers", "needs(*chapters): chapters of a story that must have passed before")
    config.addinivalue_line("markers", "thorough: chapters that the usual run of a story leaves out")
    config.stash[OUTCOMES] = {}
    config.stash[FIGURES] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a chapter that has nothing to go on from."""
    for marker in item.iter_markers("needs"):
        for chapter in marker.args:
            outcome = item.config.stash[OUTCOMES].get(chapter, "not run")
            if outcome != "passed":
                pytest.skip(f"needs {chapter}, which was {outcome}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a chapter ended and what it took; with a failure, show the cluster."""
    del call
    report = yield
    story = getattr(item, "funcargs", {}).get("story")
    if report.when == "call" or report.outcome != "passed":
        item.config.stash[OUTCOMES][item.name.removeprefix("test_")] = report.outcome
    if report.when == "call" and story is not None:
        seconds = item.config.stash[FIGURES].setdefault("chapters", {})
        seconds[item.name.removeprefix("test_")] = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
    if report.failed and story is not None:
        try:
            told = story.debug()
        except Exception as error:  # the cluster itself may be what failed
            told = str(error)
        report.sections.append(("cluster", told[-MOST_DEBUG:]))
    return report


@pytest.fixture(scope="session")
def podman() -> dict[str, str]:
    """Variables of the store in which images are built, kept between runs."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian and Ubuntu: apt-get install podman)")
    KEPT.mkdir(parents=True, exist_ok=True)
    return new_store(KEPT)


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the chapters measured."""
    return request.config.stash[FIGURES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures last."""
    found = config.stash[FIGURES]
    if not found:
        return
    if place := os.environ.get("ONTIME_REHEARSAL_FIGURES"):
        write_json(Path(place), found)
    terminalreporter.write_line(json.dumps(found))
