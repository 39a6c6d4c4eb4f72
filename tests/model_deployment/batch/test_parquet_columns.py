"""Columns put behind those of parquet files of many kinds, read back by Arrow and by DuckDB."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.model_deployment.batch.parquet_columns import append_columns, fields_of, items_of, split, struct_of

ROWS = 500
FILES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "one row group per row": {"row_group_size": 1, "rows": 20},
    "uneven row groups": {"row_group_size": 33},
    "no rows": {"rows": 0},
    "page index": {"write_page_index": True, "row_group_size": 100},
    "version 1": {"version": "1.0", "use_dictionary": False, "compression": "none"},
    "data pages 2": {"data_page_version": "2.0", "compression": "gzip"},
    "no statistics": {"write_statistics": False},
    "checksums": {"write_page_checksum": True},
    "sorted": {"sorting_columns": [pq.SortingColumn(0)]},
    "bloom filters": {"bloom_filter_options": {"text": {"ndv": 10}}},
    "no Arrow schema": {"store_schema": False},
    "other separators": {"use_content_defined_chunking": True},
}


def make_table(rows: int) -> pa.Table:
    random = np.random.default_rng(5)
    return (
        pa.table(
            {
                "number": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.2),
                "text": pa.array([f"text {row % 7}" if row % 3 else None for row in range(rows)], pa.string()),
                "list": pa.array([[row] * (row % 4) for row in range(rows)], pa.list_(pa.int32())),
                "struct": pa.array([{"a": row, "b": {"c": str(row)}} for row in range(rows)]),
                "map": pa.array([[("k", row)] for row in range(rows)], pa.map_(pa.string(), pa.int64())),
                "time": pa.array(range(rows), pa.timestamp("us", "UTC")),
                "flag": pa.array([row % 2 == 0 for row in range(rows)]),
                "fixed": pa.array([b"1234"] * rows, pa.binary(4)),
            },
            metadata={"own": "note"},
        )
        if rows
        else pa.table({"number": pa.array([], pa.float64()), "text": pa.array([], pa.string())})
    )


def write(path: Path, table: pa.Table, **options: Any) -> memoryview:
    pq.write_table(table, path, **options)
    return memoryview(path.read_bytes())


def added_for(path: Path, target: Path) -> tuple[memoryview, pa.Table]:
    """New columns in row groups as high as those of a file."""
    metadata = pq.read_metadata(path)
    heights = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    rows = metadata.num_rows
    table = pa.table(
        {"score": pa.array(np.arange(rows, dtype=np.float32)), "label": pa.array(["x"] * rows, pa.string())}
    )
    with pq.ParquetWriter(target, table.schema) as writer:
        start = 0
        for height in heights:
            writer.write_table(table.slice(start, height), row_group_size=max(1, height))
            start += height
    return memoryview(target.read_bytes()), table


@pytest.mark.parametrize("kind", FILES)
def test_old_and_new_columns_are_read_back(tmp_path: Path, kind: str) -> None:
    options = dict(FILES[kind])
    table = make_table(options.pop("rows", ROWS))
    content = write(tmp_path / "table.parquet", table, **options)
    added, new = added_for(tmp_path / "table.parquet", tmp_path / "added.parquet")
    joined = tmp_path / "joined.parquet"
    joined.write_bytes(b"".join(append_columns(content, added, {"made of": "two"})))
    read = pq.read_table(joined, page_checksum_verification=True)
    assert read.column_names == [*table.column_names, "score", "label"]
    assert read.select(table.column_names).equals(
        pq.read_table(tmp_path / "table.parquet").replace_schema_metadata(None)
    )
    assert read.select(["score", "label"]).equals(new)
    about = pq.read_metadata(joined)
    assert about.metadata == {b"made of": b"two"}
    assert (about.num_rows, about.num_columns) == (table.num_rows, len(pq.ParquetFile(joined).schema))
    for place in range(about.num_row_groups):
        before, after = pq.read_metadata(tmp_path / "table.parquet").row_group(place), about.row_group(place)
        assert after.total_byte_size == before.total_byte_size + sum(
            after.column(column).total_uncompressed_size for column in range(before.num_columns, after.num_columns)
        )
        for column in range(before.num_columns):
            assert after.column(column).to_dict() == before.column(column).to_dict()
    own, both = (duckdb.read_parquet(str(path)) for path in (tmp_path / "table.parquet", joined))
    (largest,) = own.aggregate("max(number)").fetchall()[0]
    wanted = (ROWS, sum(range(ROWS)), "x") if table.num_rows == ROWS else (table.num_rows,)
    found = both.aggregate("count(*), sum(score), min(label), max(number)").fetchall()[0]
    assert (found[: len(wanted)], found[-1]) == (wanted, largest)


def test_new_columns_are_filtered_by_their_statistics(tmp_path: Path) -> None:
    content = write(tmp_path / "table.parquet", make_table(ROWS), row_group_size=100)
    added, _ = added_for(tmp_path / "table.parquet", tmp_path / "added.parquet")
    (tmp_path / "joined.parquet").write_bytes(b"".join(append_columns(content, added, {})))
    found = pq.read_table(tmp_path / "joined.parquet", filters=[("score", ">=", 250.0), ("text", "=", "text 1")])
    assert found["score"].to_pylist() == [row for row in range(250, ROWS) if row % 7 == 1 and row % 3]


def test_columns_can_be_added_to_what_was_added_to(tmp_path: Path) -> None:
    content = write(tmp_path / "table.parquet", make_table(ROWS), row_group_size=90)
    added, _ = added_for(tmp_path / "table.parquet", tmp_path / "added.parquet")
    once = b"".join(append_columns(content, added, {"time": "first"}))
    again = pa.table({"third": pa.array(range(ROWS))})
    more = write(tmp_path / "more.parquet", again, row_group_size=90)
    (tmp_path / "twice.parquet").write_bytes(b"".join(append_columns(memoryview(once), more, {"time": "second"})))
    found = pq.read_table(tmp_path / "twice.parquet")
    assert found.column_names[-3:] == ["score", "label", "third"]
    assert found["third"].to_pylist() == list(range(ROWS))
    assert found["score"].to_pylist() == list(range(ROWS))


def test_row_groups_of_other_heights_are_refused(tmp_path: Path) -> None:
    content = write(tmp_path / "table.parquet", make_table(ROWS), row_group_size=100)
    other = write(tmp_path / "other.parquet", pa.table({"score": list(range(ROWS))}), row_group_size=250)
    with pytest.raises(ValueError, match="row groups of other heights"):
        list(append_columns(content, other, {}))


@pytest.mark.parametrize("kind", FILES)
def test_a_footer_that_is_taken_apart_and_put_together_has_the_same_bytes(tmp_path: Path, kind: str) -> None:
    options = dict(FILES[kind])
    content = write(tmp_path / "table.parquet", make_table(options.pop("rows", ROWS)), **options)
    pages, footer = split(content)
    encoded = struct_of(footer)
    assert bytes(content) == bytes(pages) + encoded + len(encoded).to_bytes(4, "little") + b"PAR1"
    for group in items_of(footer[4][1]):
        assert struct_of(fields_of(group)) == group
        for column in items_of(fields_of(group)[1][1]):
            assert struct_of(fields_of(column)) == column


def test_unknown_fields_far_apart_and_of_every_type_are_kept() -> None:
    values = {
        1: (1, b""),
        2: (2, b""),
        3: (3, b"\x7f"),
        40: (7, bytes(range(8))),
        41: (8, b"\x03abc"),
        200: (9, b"\x21\x01\x02"),
        201: (10, b"\xf5" + b"\x10" + bytes(range(16))),
        3000: (12, struct_of({1: (6, b"\x80\x01"), 99: (9, b"\x1c\x00")})),
    }
    assert fields_of(struct_of(values)) == values
