"""`ontime labels` writes a label for each key of the raw tables."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.datasets import flights
from ontime.datasets.keys import key_text
from tests.checkouts import TOP
from tests.commands import run_command

Tables = dict[str, pd.DataFrame]


@pytest.fixture
def checkout(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raw_tables: Tables,
    write_raw: Callable[[Path, Tables], Path],
) -> Path:
    """A checkout with the raw tables of flights in January and February."""
    early = raw_tables["flights"][raw_tables["flights"]["month"] <= 2]
    write_raw(tmp_path / "data" / "raw", {"flights": early, "airports": raw_tables["airports"]})
    (tmp_path / "data" / "schema").symlink_to(TOP / "data" / "schema")
    (tmp_path / "params.yaml").symlink_to(TOP / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_row_of_every_partition_has_its_key_and_its_label(checkout: Path, raw_tables: Tables) -> None:
    run_command("labels", "labels.parquet")
    found = pd.read_parquet("labels.parquet")
    assert found.columns.tolist() == ["key", "target", "known_at"]
    rows = raw_tables["flights"][raw_tables["flights"]["month"] <= 2]
    late = (rows["arr_delay"] >= 15).astype(float).mask(rows["arr_delay"].isna())
    expected = dict(zip(key_text(rows, flights.KEY), late.fillna(-1), strict=True))
    assert dict(zip(found["key"], found["target"].fillna(-1), strict=True)) == expected
    first = (checkout / "labels.parquet").read_bytes()
    run_command("labels", "labels.parquet")
    assert (checkout / "labels.parquet").read_bytes() == first


def test_labels_are_written_as_parquet_alone(checkout: Path) -> None:
    with pytest.raises(OntimeError, match=r"^labels.csv: labels are written as parquet"):
        run_command("labels", "labels.csv")
    assert not (checkout / "labels.csv").exists()
