"""Notebooks run from top to bottom on what the graph made, and carry neither outputs nor traces of a machine."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ontime.common import paths
from ontime.common.files import read_json
from tests.checkouts import TOP, run
from tests.live import live

NOTEBOOKS = sorted((TOP / "notebooks").glob("*.ipynb"))
CELL_SECONDS = 300
OF_MINUTES = {"architectures": 2400}
"""Notebooks that train networks, and the seconds that a cell of theirs may take."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
READS = {
    "exploration": [paths.VALIDATION_REPORT, paths.FEATURES, paths.FEATURE_LAYOUT, paths.split_rows("train")],
    "error_analysis": [paths.FEATURE_LAYOUT, paths.VOCABULARY, paths.split_rows("validation"), paths.SELECTION],
    "architectures": [
        paths.FEATURE_LAYOUT,
        paths.VOCABULARY,
        paths.split_rows("train"),
        paths.split_rows("validation"),
        paths.training_run("neural_network") / "predictions" / "validation.parquet",
        paths.training_run("neural_network") / "metrics" / "history.csv",
    ],
}


def absent(name: str) -> list[Path]:
    """What a notebook reads and the graph has not made here."""
    wanted = list(READS[name])
    if paths.SELECTION in wanted and live(paths.SELECTION).exists():
        run = paths.training_run(read_json(live(paths.SELECTION))["champion"])
        wanted += [run / part for part in ("model", "metrics/test.json", "metrics/slices.csv", "plots")]
    return [path for path in wanted if not live(path).exists()]


def test_each_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(READS)


def _marks(path: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.rehearsal, pytest.mark.timeout(3600)] if path.stem in OF_MINUTES else [pytest.mark.integration]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=_marks(path)) for path in NOTEBOOKS])
def test_runs_at_the_top_of_the_checkout(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := absent(path.stem):
        pytest.skip(f"{missing[0]} not found; run `make repro` or `ontime pull`")
    # the kernel named python3 of this virtual environment, not one in the user's home
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook: Any = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=OF_MINUTES.get(path.stem, CELL_SECONDS),
        resources={"metadata": {"path": str(TOP)}},
    )
    client.execute()
    assert any(output for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_carries_no_output_and_no_trace_of_a_machine(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    ran = [
        cell.id
        for cell in notebook.cells
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None)
    ]
    assert not ran, f"{path.name}: clear the outputs of all cells before the commit; found some in {', '.join(ran)}"
    assert notebook.metadata == METADATA, f"{path.name}: metadata of the notebook differs from {METADATA}"
    assert not [cell.id for cell in notebook.cells if cell.metadata], f"{path.name}: a cell has metadata"


@pytest.mark.rehearsal
@pytest.mark.timeout(3600)
def test_each_notebook_becomes_a_page_with_its_outputs() -> None:
    if missing := [path for name in READS for path in absent(name)]:
        pytest.skip(f"{missing[0]} not found; run `make repro` or `ontime pull`")
    run("make", "notebooks", cwd=TOP)
    for path in NOTEBOOKS:
        page = (TOP / "report" / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert "data:image/png;base64," in page and "Traceback" not in page
