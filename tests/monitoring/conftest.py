"""A folder with a champion and the graph's features, in which a test writes a log and runs a check."""

from pathlib import Path

import pytest

from tests.monitored import Line, Monitored, make_monitored, sound_lines


@pytest.fixture(scope="session")
def graph_lines(fork: Path) -> list[Line]:
    """A sound service's lines for the fork's rows; tests only read them."""
    return sound_lines(fork)


@pytest.fixture
def monitored(tmp_path: Path, fork: Path, graph_lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> Monitored:
    """A folder of the test's own, with lines of its own and without a log."""
    monkeypatch.chdir(tmp_path)
    return make_monitored(tmp_path, fork, graph_lines)
