"""A file without some rows: every other byte stays, and a file that is not what was read is left alone."""

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.privacy.tables import kept_by, without_rows

CSV = b'id,note,size\r\n1,"two\r\nlines, one row",1.50\r\n\r\n2,\xc3\xa9,0.10\r\n3,"a ""b""",1e3'
DROPPED = np.array([False, True, False])


def test_the_other_bytes_of_a_csv_file_stay() -> None:
    assert without_rows("t.csv", CSV, DROPPED) == CSV.replace(b"2,\xc3\xa9,0.10\r\n", b"")
    first = without_rows("t.csv", CSV, ~DROPPED)
    assert first == b"id,note,size\r\n\r\n2,\xc3\xa9,0.10\r\n"
    other = "id;town\n1;Genève\n2;Zürich\n3;Köln\n".encode("cp1252")
    assert without_rows("t.csv", other, DROPPED) == "id;town\n1;Genève\n3;Köln\n".encode("cp1252")
    assert gzip.decompress(without_rows("t.csv.gz", gzip.compress(CSV), ~DROPPED)) == first


@pytest.mark.parametrize("rows", [2, 4])
def test_a_file_with_other_rows_than_were_read_is_refused(rows: int) -> None:
    with pytest.raises(OntimeError, match=r"^t\.csv: has .* nothing was changed$"):
        without_rows("t.csv", CSV, np.zeros(rows, dtype=bool))


def test_a_parquet_file_keeps_its_types() -> None:
    frame = pd.DataFrame(
        {"id": [1, 2, 3], "when": pd.date_range("2024-01-01", periods=3, tz="UTC"), "kind": list("aba")}
    )
    stream = io.BytesIO()
    frame.astype({"kind": "category"}).to_parquet(stream, index=False)
    left = pd.read_parquet(io.BytesIO(without_rows("t.parquet", stream.getvalue(), DROPPED)))
    pd.testing.assert_frame_equal(left, frame.astype({"kind": "category"})[~DROPPED].reset_index(drop=True))


@pytest.mark.parametrize("rows", [2, 4])
def test_json_lines_are_counted_without_blank_ones(rows: int) -> None:
    lines = b'\xef\xbb\xbf{"id": 1}\r\n\r\n{"id": 2}\n{"id": 3}'
    assert without_rows("t.jsonl", lines, DROPPED) == b'\xef\xbb\xbf{"id": 1}\r\n\r\n{"id": 3}'
    with pytest.raises(OntimeError, match=r"^t\.jsonl: has .* nothing was changed$"):
        without_rows("t.jsonl", lines, np.zeros(rows, dtype=bool))


def test_what_only_its_owner_can_change_is_told(tmp_path: Path) -> None:
    for name, owner in {
        "https://host/t.csv?key=1": "a web server's file",
        "t.sql": "a query",
        "t.xlsx": "a workbook",
        "s3://bucket/t.xlsx": "a workbook",
    }.items():
        assert str(kept_by(name)).startswith(f"{owner}; ")
    assert kept_by("s3://bucket/t.csv") is None
    table = tmp_path / "t.csv"
    assert kept_by(str(table)) is None
    Path(f"{table}.dvc").write_text("outs: [{path: t.csv}]\n")
    assert kept_by(str(table)) is None
    Path(f"{table}.dvc").write_text("deps:\n- path: s3://bucket/t.csv\nouts:\n- path: t.csv\n")
    assert kept_by(str(table)) == f"imported by {table}.dvc; have its owner remove them there"
