"""A copy of the graph to configure."""

from pathlib import Path

import pytest

from tests.graph_copy import copy_graph


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy's folder, in which the test runs."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(copy_graph(folder))
    return folder
