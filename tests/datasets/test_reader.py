"""A table is read from its bytes by its schema: every kind of file, every type, and nothing lost without a word."""

import datetime
import decimal
import functools
import gzip
import hashlib
import http.server
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from ontime.common.errors import OntimeError
from ontime.datasets.content import fetch, without_secrets
from ontime.datasets.inference import infer
from ontime.datasets.reader import Columns, read_columns, typed_frame
from ontime.datasets.schema import TableSchema
from tests.own_tables import AnyTable, any_tables, columns_of, content_of, is_kept, parquet_of
from tests.servers import http_server

CSV = b"""size,kind,when,ok,late
1.5,a,2013-01-01,True,yes
,,2013-01-02T06:00:00+01:00,False,no
3,b,,,yes
2,a,2013-01-04,,
"""


def schema_of(*fields: dict[str, Any], **table: Any) -> TableSchema:
    return TableSchema.model_validate({"fields": list(fields), **table})


def inferred(columns: Columns) -> TableSchema:
    return TableSchema.model_validate({"fields": infer(columns.found, columns.form).fields})


def typed(data: bytes, *fields: dict[str, Any], kind: str = ".csv", **table: Any) -> pd.DataFrame:
    """A file's rows as the schema of these fields has them."""
    return typed_frame(read_columns(content_of(data, kind), "t"), schema_of(*fields, **table), "t")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.parquet"])
def test_each_format_is_read_with_the_hash_of_its_bytes(tmp_path: Path, name: str) -> None:
    text = CSV.replace(b",", b"\t") if ".tsv" in name else CSV
    native = parquet_of(pd.read_csv(io.BytesIO(CSV)))
    stored = native if name.endswith(".parquet") else gzip.compress(text, mtime=0) if name.endswith(".gz") else text
    (tmp_path / name).write_bytes(stored)
    content = fetch(str(tmp_path / name))
    assert content.digest == hashlib.sha256(stored).hexdigest()
    columns = read_columns(content, "t")
    found = typed_frame(columns, inferred(columns), "t")
    assert found["size"].tolist()[::2] == [1.5, 3.0]
    assert found.dtypes.astype(str).to_dict() == {
        "size": "float64",
        "kind": "str",
        "when": "datetime64[us, UTC]",
        "ok": "boolean",
        "late": "str",
    }
    assert found.isna().sum().tolist() == [1, 1, 1, 2, 1]
    assert found["when"][1] == pd.Timestamp("2013-01-02T05:00Z")


def test_an_address_in_memory_is_read_through_fsspec() -> None:
    fsspec.filesystem("memory").pipe("/tables/t.csv", CSV)
    assert fetch("memory://tables/t.csv").data == CSV
    with pytest.raises(OntimeError, match=r"^data\.source: memory://tables/absent\.csv: not found$"):
        fetch("memory://tables/absent.csv")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves the table."""
    (tmp_path / "t.csv").write_bytes(CSV)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http_server(functools.partial(Quiet, directory=str(tmp_path))) as host:
        yield f"http://{host}"


def test_a_web_address_is_read_with_or_without_a_query(web: str) -> None:
    for address in (f"{web}/t.csv", f"{web}/t.csv?version=2"):
        found = fetch(address)
        assert (found.data, found.digest) == (CSV, hashlib.sha256(CSV).hexdigest())


def test_a_web_address_that_is_not_there_is_one_line(web: str) -> None:
    with pytest.raises(OntimeError, match=r"/absent\.csv: cannot be read: 404, message='File not found'"):
        fetch(f"{web}/absent.csv")


def test_a_server_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(OntimeError, match=r": cannot be read: .*connect") as error:
            fetch(f"http://127.0.0.1:{held.getsockname()[1]}/t.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv.gz", CSV, "not readable: "),
        ("t.csv.gz", gzip.compress(CSV, mtime=0)[:-12], "not readable: "),
        ("t.csv.gz", gzip.compress(CSV, mtime=0)[:12] + b"\0" * 40, "not readable: "),
        ("t.parquet", CSV, "not readable: "),
        ("t.parquet", b"", "not readable: "),
        ("t.json", CSV, "neither a known package nor a .csv, .tsv, .jsonl, .ndjson, .csv.gz, "),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OntimeError) as error:
        read_columns(fetch(str(path)), f"data.source: {path}")
    assert str(error.value).startswith(f"data.source: {path}: {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet"])
def test_an_absent_file_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(OntimeError, match=r"not found$"):
        fetch(str(tmp_path / name))


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(OntimeError, match=r"t\.csv: cannot be read: "):
        fetch(str(tmp_path / "t.csv"))


def test_a_store_of_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(OntimeError, match=r"^data\.source: nonsense://a/t\.csv: cannot be read: "):
        fetch("nonsense://a/t.csv")


def test_an_address_is_shown_without_what_may_be_a_secret() -> None:
    assert without_secrets("http://user:secret@host:8/a/t.csv?X-Amz-Signature=1#2") == "http://host:8/a/t.csv"
    assert without_secrets("s3://bucket/t.csv") == "s3://bucket/t.csv"
    assert without_secrets("folder/a?b@c.csv") == "folder/a?b@c.csv"
    with pytest.raises(OntimeError) as error:
        fetch("http://user:secret@127.0.0.1:9/t.csv?signature=hidden")
    assert "secret" not in str(error.value)
    assert "hidden" not in str(error.value)


def test_codes_that_the_schema_calls_a_string_keep_their_zeros() -> None:
    assert typed(b"code,n\n00000,1\n00012,2\n", {"name": "code", "type": "string"})["code"].tolist() == [
        "00000",
        "00012",
    ]
    assert typed(b"code,n\n00000,1\n00012,2\n", {"name": "code", "type": "integer"})["code"].tolist() == [0, 12]


def test_a_date_is_read_by_the_format_of_the_schema() -> None:
    field = {"name": "when", "type": "datetime", "format": "%m/%d/%Y"}
    found = typed(b"when,n\n01/31/2020,1\n,2\n", field)["when"]
    assert found.tolist() == [pd.Timestamp("2020-01-31", tz="UTC"), pd.NaT]
    compact = {"name": "when", "type": "datetime", "format": "%Y%m%d"}
    native = parquet_of(pd.DataFrame({"when": [20200131, 20200201]}))
    assert typed(native, compact, kind=".parquet")["when"].dt.day.tolist() == [31, 1]


def test_words_for_missing_are_those_of_the_schema() -> None:
    data = b"a,b\nNA,NA\n?,x\n1,y\n"
    fields: list[dict[str, Any]] = [
        {"name": "a", "type": "number", "missingValues": ["NA", "?"]},
        {"name": "b", "type": "string"},
    ]
    found = typed(data, *fields)
    assert (found["a"].isna().tolist(), found["b"].tolist()) == ([True, True, False], ["NA", "x", "y"])
    assert typed(data, *fields, missingValues=["NA"])["b"].isna().tolist() == [True, False, False]


def test_values_that_do_not_fit_are_named_with_their_row() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "a", "type": "datetime"},
        {"name": "b", "type": "integer", "personal": True},
    ]
    with pytest.raises(OntimeError) as error:
        typed(b"a,b\n2013-01-01,1\n2013-02-30,1.5\n2013-02-31,2\n", *fields)
    first, second = str(error.value).split("\nerror: ")
    assert first == "t: a: type datetime: 2 of 3 values do not fit, for example '2013-02-30' in row 2"
    assert second == "t: b: type integer: 1 of 3 values do not fit, for example (personal) in row 2"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1e400", "number"),
        ("0x10", "number"),
        ("1_000", "number"),
        ("inf", "number"),
        ("9223372036854775808", "integer"),
        ("2.5", "integer"),
        ("yes", "boolean"),
    ],
)
def test_what_is_not_of_the_type_is_refused(values: str, kind: str) -> None:
    with pytest.raises(OntimeError, match=r"t: a: type \w+: 1 of 1 values do not fit"):
        typed(f"a,b\n{values},1\n".encode(), {"name": "a", "type": kind})


def test_a_number_beyond_32_bits_is_refused_unless_it_is_no_feature() -> None:
    columns, schema = read_columns(content_of(b"a,b\n1e39,1\n"), "t"), schema_of({"name": "a", "type": "number"})
    with pytest.raises(OntimeError, match=r"a: type number: 1 of 1 values .* 1e\+39 in row 1; .* at most 3\.4e\+38"):
        typed_frame(columns, schema, "t")
    assert typed_frame(columns, schema, "t", skipped=["a"])["a"].tolist() == [1e39]


def test_whole_numbers_stay_exact_where_some_are_missing() -> None:
    found = typed(b"a,b\n9007199254740993,1\n,2\n", {"name": "a", "type": "integer"})["a"]
    assert found.tolist() == [9007199254740993, pd.NA]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([decimal.Decimal("0.25"), None]), [0.25, None]),
        (pa.array([datetime.time(8, 30), None]), [510.0, None]),
        (pa.array([datetime.timedelta(hours=1), None]), [60.0, None]),
        (pa.array([1, None], pa.uint64()), [1, None]),
        (pa.array([1 << 63, None], pa.uint64()), [str(1 << 63), None]),
        (pa.array([1.5, float("nan")], pa.float16()), [1.5, None]),
        (pa.array([datetime.date(2013, 1, 1), None]), [pd.Timestamp("2013-01-01", tz="UTC"), None]),
        (
            pa.array([datetime.datetime(2013, 1, 1)], pa.timestamp("s", "Asia/Kathmandu")),
            [pd.Timestamp("2013-01-01", tz="UTC")],
        ),
        (pa.array([datetime.datetime(2013, 1, 1)], pa.timestamp("ns")), [pd.Timestamp("2013-01-01", tz="UTC")]),
        (pa.DictionaryArray.from_arrays(pa.array([1, None, 1]), ["unused", "used"]), ["used", None, "used"]),
        (pa.array([None, None]), [None, None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_each_type_of_parquet_becomes_one_of_the_schemas(values: Any, expected: list[Any]) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": values}), stream)
    columns = read_columns(content_of(stream.getvalue(), ".parquet"), "t")
    found = typed_frame(columns, inferred(columns), "t")["a"]
    assert [None if pd.isna(value) else value for value in found] == expected


def test_a_nested_column_is_told_and_no_part_of_the_frame() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1], "l": [[1, 2]]}), stream)
    columns = read_columns(content_of(stream.getvalue(), ".parquet"), "t")
    assert columns.nested == {"l": "list<element: int64>"}
    assert list(typed_frame(columns, inferred(columns), "t")) == ["a"]


def test_a_named_index_is_a_column_and_another_one_is_left_out_and_told() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    named = read_columns(
        content_of(parquet_of(frame.set_index(pd.Index(["x", "y"], name="id")), True), ".parquet"), "t"
    )
    assert (list(named.found), named.notes) == (["a", "id"], [])
    unnamed = read_columns(content_of(parquet_of(frame.set_index(pd.Index(["x", "y"])), True), ".parquet"), "t")
    assert (list(unnamed.found), unnamed.notes) == (["a"], ["left out: the index, which has no name"])


def test_a_name_that_a_schema_cannot_hold_is_refused() -> None:
    for name in ("a\x85b", "\x00", "\x7f"):
        with pytest.raises(OntimeError, match=r"^t: column '.*' has a control character in its name; rename it$"):
            read_columns(content_of(f"{name},b\n1,2\n".encode()), "t")


def test_a_column_that_the_schema_lacks_stays_for_validate_to_name() -> None:
    assert list(typed(b"a,b\n1,2\n", {"name": "a", "type": "integer"})) == ["a", "b"]


def test_text_in_a_typed_file_is_text_whatever_it_looks_like() -> None:
    columns = columns_of(pd.DataFrame({"a": ["1", "", "NA"], "n": [1.0, np.nan, 2.5]}))
    found = typed_frame(columns, inferred(columns), "t")
    assert found["a"].tolist() == ["1", "", "NA"]
    assert found["n"].isna().tolist() == [False, True, False]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(any_tables())
def test_every_value_of_any_table_is_in_the_typed_frame(drawn: AnyTable) -> None:
    columns = read_columns(content_of(drawn.written(), drawn.kind), "t", {"decimal": "."})
    if drawn.kind == ".csv":
        assert columns.form is not None
        assert columns.form.delimiter == drawn.delimiter
    found = infer(columns.found, columns.form)
    for problem in found.problems:
        assert "\n" not in problem.encode("unicode_escape").decode()
    schema = TableSchema.model_validate({"fields": found.fields})
    frame = typed_frame(columns, schema, "t")
    assert list(frame.columns) == list(drawn.columns)
    for column in schema.fields:
        for cell, value in zip(drawn.cells[column.name], frame[column.name], strict=True):
            assert is_kept(cell, value, column.type, column.missingValues or []), (column, cell, value)
