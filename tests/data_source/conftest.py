"""A copy of the graph to configure, and tables of a few rows."""

from pathlib import Path

import pytest

from ontime.data_source import initialize
from ontime.tasks import binary
from tests.graph_copy import copy_graph


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy's folder, in which the test runs."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(copy_graph(folder))
    return folder


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a table is read shows on a few rows; `tests/model_evaluation/test_no_champion.py` has what a model needs."""
    for module in (binary, initialize):
        monkeypatch.setattr(module, "LEAST_CLASS_ROWS", 1)
