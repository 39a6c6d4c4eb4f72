"""`ontime labels` writes a label for each key of the raw tables."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.common.files import write_parquet
from ontime.datasets import flights
from ontime.datasets.keys import key_text
from ontime.datasets.source import Data
from ontime.monitoring.label_source import read_labels
from ontime.monitoring.label_table import label_table
from tests.commands import run_command
from tests.labelled import kind_of
from tests.live import PARAMS, SCHEMA

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
    (tmp_path / "data" / "schema").symlink_to(SCHEMA)
    (tmp_path / "params.yaml").symlink_to(PARAMS)
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


def test_a_forks_table_says_not_since_when_a_label_is_known(tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": [7, 8, 9], "size": [1.5, 2, 3], "ok": ["yes", "no", None]})
    write_parquet(rows, tmp_path / "table" / "table.parquet")
    (tmp_path / "schema").mkdir()
    types = {"id": "integer", "size": "number", "ok": "string"}
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    YAML().dump({"fields": fields, "primaryKey": ["id"]}, tmp_path / "schema" / "table.yaml")
    data = Data(source="rows.csv", options={"target": "ok", "positive": "yes", "key": ["id"]})
    found = label_table(data, tmp_path, tmp_path / "schema")
    assert found["key"].tolist() == ["7", "8", "9"]
    assert found["target"].fillna(-1).tolist() == [1, 0, -1]
    assert found["known_at"].isna().all()
    write_parquet(found, tmp_path / "labels.parquet")
    pd.testing.assert_frame_equal(
        read_labels(str(tmp_path / "labels.parquet"), None, kind_of()), found, check_dtype=False
    )


def test_labels_are_written_as_parquet_alone(checkout: Path) -> None:
    with pytest.raises(OntimeError, match=r"^labels.csv: labels are written as parquet"):
        run_command("labels", "labels.csv")
    assert not (checkout / "labels.csv").exists()
