"""Raw tables are written whole and untouched, or not at all."""

from pathlib import Path

import pandas as pd
import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.common.files import sha256
from tests.graph_copy import copy_graph


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copy_graph(tmp_path))
    return tmp_path


@pytest.fixture
def fork_of(checkout: Path, parcels: pd.DataFrame) -> Path:
    parcels.to_csv(checkout / "t.csv", index=False)
    run("init", "--source", "t.csv", "--target", "late", "--time", "sent", "--no-run")
    return checkout


def run(*arguments: str) -> None:
    commands.main(list(arguments), standalone_mode=False)


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_a_forks_table_is_one_file_with_its_values_and_columns(fork_of: Path, parcels: pd.DataFrame) -> None:
    run("ingest")
    assert list(hashes(fork_of / "data" / "raw")) == ["table/table.parquet"]
    raw = pd.read_parquet(fork_of / "data" / "raw" / "table" / "table.parquet")
    expected = parcels.assign(sent=pd.to_datetime(parcels["sent"], utc=True).dt.as_unit("us"))
    kinds = {"fragile": "boolean", "depot": "str", "late": "str", "service": "str"}
    pd.testing.assert_frame_equal(raw.astype(kinds), expected.astype(kinds))


def test_ingesting_again_writes_the_same_bytes_and_drops_what_is_no_longer_there(fork_of: Path) -> None:
    run("ingest")
    before = hashes(fork_of / "data" / "raw")
    (fork_of / "data" / "raw" / "old").mkdir()
    (fork_of / "data" / "raw" / "old" / "old.parquet").touch()
    run("ingest")
    assert hashes(fork_of / "data" / "raw") == before


def test_a_source_that_cannot_be_read_leaves_the_tables_as_they_were(fork_of: Path) -> None:
    run("ingest")
    before = hashes(fork_of / "data")
    (fork_of / "t.csv").unlink()
    with pytest.raises(OntimeError, match=r"^data\.source: t\.csv: not found$"):
        run("ingest")
    assert hashes(fork_of / "data") == before


def test_options_of_another_dataset_are_named(fork_of: Path) -> None:
    params = fork_of / "params.yaml"
    params.write_text(params.read_text().replace("target: late", "targets: late"))
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: data\.options\.target: missing; .*targets: unknown key; did"
    ):
        run("ingest")
