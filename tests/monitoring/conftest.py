"""A folder with a champion and the graph's features, in which a test writes a log and runs a check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def set_parameter(tmp_path: Path) -> Callable[[str, Any], None]:
    """A function that sets the first parameter of a name in `params.yaml`."""

    def set_(name: str, value: Any) -> None:
        path = tmp_path / "params.yaml"
        lines = path.read_text().splitlines()
        place = next(place for place, line in enumerate(lines) if line.startswith(f"  {name}:"))
        lines[place] = f"  {name}: {value}"
        path.write_text("\n".join(lines) + "\n")

    return set_
