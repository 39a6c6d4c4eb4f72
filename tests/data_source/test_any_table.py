"""A table of any names, types and values goes from `ontime init` to `split`, or is refused in one line."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.common.layout import Layout
from ontime.common.params import load_section
from ontime.datasets.schema import load_schemas
from ontime.datasets.source import Data
from tests.commands import make_small, run_command
from tests.graph_copy import copy_graph
from tests.own_tables import ROWS, AnyTable, any_tables, is_kept

REFUSED = (
    r"correct the others, or say what they are|write all in one way|"
    r"may be the decimal or the thousands sign|no column is left as a feature|"
    r"a number of a feature is at most"
)
"""What a person has to decide; the stages after `init` refuse nothing."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_graph(tmp_path_factory.mktemp("any"))
    make_small(folder / "params.yaml")
    return folder


@contextlib.contextmanager
def fresh(pristine: Path) -> Iterator[None]:
    """The files that `init` edits as they were, and nothing that a stage has made."""
    with contextlib.chdir(pristine):
        kept = {path: Path(path).read_bytes() for path in ("params.yaml", "dvc.yaml", "data/features.yaml")}
        shutil.copytree(paths.SCHEMA, "schema")
        try:
            yield
        finally:
            for path, content in kept.items():
                Path(path).write_bytes(content)
            for folder in (paths.SCHEMA, paths.RAW, paths.FEATURES.parent):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.move("schema", paths.SCHEMA)


def check_any_table(pristine: Path, drawn: AnyTable) -> None:
    """Every row, feature and label of the table is in the rows of the split."""
    with fresh(pristine):
        source = Path(f"t{drawn.kind}")
        source.write_bytes(drawn.written())
        try:
            run_command("init", "--source", str(source), f"--target={drawn.target}", "--no-run")
        except OntimeError as error:
            reason = re.search(REFUSED, str(error))
            assert reason, error
            event(reason[0])
            return
        for stage in ("ingest", "validate", "featurize", "split"):
            run_command(stage)
        layout = Layout(**read_json(paths.FEATURE_LAYOUT))
        parts = [pd.read_parquet(paths.split_rows(part)) for part in ("train", "validation", "test")]
        rows = pd.concat(parts).sort_values(layout.key[0], ignore_index=True)
        assert rows[layout.key[0]].tolist() == list(range(ROWS))
        assert sorted(rows[layout.target].unique()) == [0, 1]
        events = [cell == drawn.cells[drawn.target][0] for cell in drawn.cells[drawn.target]]
        assert (rows[layout.target] == 1).tolist() in (events, [not event for event in events])
        left_out = set(load_section("data", Data).options["exclude"])
        assert all(len(set(drawn.cells[name])) == ROWS for name in left_out)
        assert sorted(layout.features) == sorted(set(drawn.columns) - {drawn.target} - left_out)
        types = {column.name: column for column in load_schemas(paths.SCHEMA)["table"].fields}
        for name in layout.categories:
            missing = types[name].missingValues or []
            for cell, value in zip(drawn.cells[name], rows[name], strict=True):
                assert is_kept(cell, value, types[name].type, missing)


QUICK = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


@settings(QUICK, max_examples=8)
@given(any_tables())
def test_any_table_goes_from_init_to_split(pristine: Path, drawn: AnyTable) -> None:
    check_any_table(pristine, drawn)


@pytest.mark.rehearsal
@pytest.mark.timeout(7200)
@settings(QUICK, max_examples=2000, derandomize=False, phases=[Phase.generate, Phase.shrink])
@given(any_tables())
def test_two_thousand_tables_go_from_init_to_split(pristine: Path, drawn: AnyTable) -> None:
    check_any_table(pristine, drawn)
