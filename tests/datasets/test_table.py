"""A fork's own table: every way to read it, what its columns become, and what is wrong with one that is refused."""

import datetime
import functools
import gzip
import hashlib
import http.server
import io
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet, write_parquet
from ontime.common.layout import TARGET, Layout
from ontime.common.params import check
from ontime.datasets import table
from ontime.datasets.schema import TableSchema, infer_schema
from tests.servers import http_server

CSV = b"""size,kind,when,ok,late
1.5,a,2013-01-01,True,yes
,,2013-01-02T06:00:00+01:00,False,no
3,b,,,yes
2,a,2013-01-04,,
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(CSV))


def parquet_of(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()


def options_of(**changes: Any) -> table.Options:
    return check(table.Options, {"target": "late", "positive": "yes", **changes}, "options")


def schemas_of(frame: pd.DataFrame) -> dict[str, TableSchema]:
    return {"table": check(TableSchema, infer_schema(frame, []), "schema")}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_each_format_is_read_with_the_hash_of_its_bytes(tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    content = {"t.csv": CSV, "t.csv.gz": gzip.compress(CSV, mtime=0), "t.parquet": parquet_of(frame)}[name]
    (tmp_path / name).write_bytes(content)
    read, digest = table.read_source(str(tmp_path / name))
    pd.testing.assert_frame_equal(read.astype({"ok": "boolean"}), frame.astype({"ok": "boolean"}))
    assert digest == hashlib.sha256(content).hexdigest()


def test_an_address_in_memory_is_read_through_fsspec(frame: pd.DataFrame) -> None:
    fsspec.filesystem("memory").pipe("/tables/t.csv", CSV)
    read, _ = table.read_source("memory://tables/t.csv")
    pd.testing.assert_frame_equal(read, frame)
    with pytest.raises(OntimeError, match=r"^data\.source: memory://tables/absent\.csv: not found$"):
        table.read_source("memory://tables/absent.csv")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves the table."""
    (tmp_path / "t.csv").write_bytes(CSV)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http_server(functools.partial(Quiet, directory=str(tmp_path))) as host:
        yield f"http://{host}"


def test_a_web_address_is_read_with_or_without_a_query(web: str, frame: pd.DataFrame) -> None:
    for address in (f"{web}/t.csv", f"{web}/t.csv?version=2"):
        read, digest = table.read_source(address)
        pd.testing.assert_frame_equal(read, frame)
        assert digest == hashlib.sha256(CSV).hexdigest()


def test_a_web_address_that_is_not_there_is_one_line(web: str) -> None:
    with pytest.raises(OntimeError, match=r"/absent\.csv: cannot be read: 404, message='File not found'"):
        table.read_source(f"{web}/absent.csv")


def test_a_server_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(OntimeError, match=r": cannot be read: .*connect") as error:
            table.read_source(f"http://127.0.0.1:{held.getsockname()[1]}/t.csv")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", b"", "not readable: No columns to parse"),
        ("t.csv", b"a,b\n", "the table has no rows"),
        ("t.csv", b"a,b\n1\n1,2,3,4\n", "not readable: "),
        ("t.csv", b'a,b\n"open,1\n', "not readable: "),
        ("t.csv", b"a,b\n\xff\xfe,1\n", "not readable: "),
        ("t.csv.gz", CSV, "not readable: "),
        ("t.csv.gz", gzip.compress(CSV, mtime=0)[:-12], "not readable: "),
        ("t.csv.gz", gzip.compress(CSV, mtime=0)[:12] + b"\0" * 40, "not readable: "),
        ("t.parquet", CSV, "not readable: "),
        ("t.parquet", b"", "not readable: "),
        ("t.xlsx", CSV, "neither a known package nor a .csv, .csv.gz or .parquet file"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OntimeError) as error:
        table.read_source(str(path))
    assert str(error.value).startswith(f"data.source: {path}: {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.csv", "absent.parquet"])
def test_an_absent_file_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(OntimeError, match=r"not found$"):
        table.read_source(str(tmp_path / name))


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(OntimeError, match=r"t\.csv: cannot be read: "):
        table.read_source(str(tmp_path / "t.csv"))


def test_a_store_of_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(OntimeError, match=r"^data\.source: nonsense://a/t\.csv: cannot be read: "):
        table.read_source("nonsense://a/t.csv")


def test_the_pinned_hash_is_compared(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    pinned = options_of(sha256=hashlib.sha256(CSV).hexdigest())
    ((name, partition, _),) = table.read_tables(str(path), pinned, schemas_of(frame))
    assert (name, partition) == ("table", "table")
    path.write_bytes(CSV + b"9,a,2013-01-05,,no\n")
    with pytest.raises(
        OntimeError, match=r"not the content that data\.options\.sha256 pins: .* setting it to [0-9a-f]{64}$"
    ):
        list(table.read_tables(str(path), pinned, schemas_of(frame)))


def test_a_table_without_its_schema_says_how_to_write_it(tmp_path: Path, frame: pd.DataFrame) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    with pytest.raises(OntimeError, match=r"data/schema/table\.yaml: not found; write it with `ontime init`"):
        list(table.read_tables(str(tmp_path / "t.csv"), options_of(), {"other": schemas_of(frame)["table"]}))


def test_times_are_read_as_utc_and_others_left_for_validate(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    ((_, _, read),) = table.read_tables(str(path), options_of(), schemas_of(frame))
    assert str(read["when"].dtype) == "datetime64[us, UTC]"
    assert read["when"].dropna().map(pd.Timestamp.isoformat).tolist() == [
        "2013-01-01T00:00:00+00:00",
        "2013-01-02T05:00:00+00:00",
        "2013-01-04T00:00:00+00:00",
    ]
    path.write_bytes(CSV.replace(b"2013-01-01", b"2013-02-30"))
    ((_, _, read),) = table.read_tables(str(path), options_of(), schemas_of(frame))
    assert read["when"][0] == "2013-02-30"


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([datetime.date(2013, 1, 1), None]),
        pd.to_datetime(pd.Series(["2013-01-01", None])),
        pd.to_datetime(pd.Series(["2013-01-01", None]), utc=True).dt.tz_convert("Asia/Kathmandu"),
        pd.Series(["2013-01-01", None]),
        pd.Series([datetime.datetime(2013, 1, 1), None], dtype=object),
    ],
    ids=["dates", "naive", "zone", "text", "datetimes"],
)
def test_every_kind_of_time_becomes_the_same(values: "pd.Series[Any]") -> None:
    times = table.parse_times(values)
    assert str(times.dtype) == "datetime64[us, UTC]"
    assert times[0] == pd.Timestamp("2013-01-01", tz="UTC")
    assert times.isna().tolist() == [False, True]


def test_dates_in_parquet_come_through(tmp_path: Path) -> None:
    dated = pd.DataFrame({"when": [datetime.date(2013, 1, 1), datetime.date(2013, 1, 2)], "late": ["yes", "no"]})
    (tmp_path / "t.parquet").write_bytes(parquet_of(dated))
    read, _ = table.read_source(str(tmp_path / "t.parquet"))
    ((_, _, rows),) = table.read_tables(str(tmp_path / "t.parquet"), options_of(), schemas_of(read))
    assert str(rows["when"].dtype) == "datetime64[us, UTC]"


def test_columns_get_their_roles_by_type(frame: pd.DataFrame) -> None:
    schemas = schemas_of(frame)
    assert table.layout(options_of(), schemas) == Layout(
        key=["row"], time=None, numbers=["size", "when", "ok"], categories=["kind"]
    )
    chosen = table.layout(options_of(time="when", key=["kind"], exclude=["ok"]), schemas)
    assert chosen == Layout(key=["kind"], time="when", numbers=["size"], categories=[])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "lates"}, "data.options.target: no column lates"),
        ({"time": "then"}, "data.options.time: no column then"),
        ({"time": "size"}, "data.options.time: size is not a datetime"),
        ({"key": ["kind", "id"]}, "data.options.key: no column id"),
        ({"exclude": ["id"]}, "data.options.exclude: no column id"),
        ({"exclude": ["size", "kind", "when", "ok"]}, "no column is left as a feature"),
    ],
)
def test_a_role_for_no_such_column_is_one_line(frame: pd.DataFrame, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OntimeError) as error:
        table.layout(options_of(**changes), schemas_of(frame))
    assert reason in str(error.value)


Make = Callable[..., pd.DataFrame]


@pytest.fixture
def features(tmp_path: Path) -> Make:
    """A function that takes a table's content through `ingest`'s and `featurize`'s functions."""

    def make(content: bytes, **changes: Any) -> pd.DataFrame:
        source = tmp_path / "t.csv"
        source.write_bytes(content)
        read, _ = table.read_source(str(source))
        schemas, options = schemas_of(read), options_of(**changes)
        ((_, _, rows),) = table.read_tables(str(source), options, schemas)
        write_parquet(rows, tmp_path / "raw" / "table" / "table.parquet")
        made = table.features(tmp_path / "raw", "table", options, table.layout(options, schemas))
        write_parquet(made, tmp_path / "features.parquet")
        return read_parquet(tmp_path / "features.parquet")

    return make


def test_features_hold_numbers_days_booleans_categories_and_the_target(features: Make) -> None:
    rows = features(CSV)
    assert list(rows.columns) == ["row", "size", "when", "ok", "kind", TARGET]
    assert rows["row"].tolist() == [0, 1, 2, 3]
    assert [str(rows[name].dtype) for name in ("size", "when", "ok")] == ["float32"] * 3
    np.testing.assert_array_equal(rows["size"], np.array([1.5, np.nan, 3, 2], dtype=np.float32))
    np.testing.assert_array_equal(rows["when"], np.array([15706, 15707 + 5 / 24, np.nan, 15709], dtype=np.float32))
    np.testing.assert_array_equal(rows["ok"], np.array([1, 0, np.nan, np.nan], dtype=np.float32))
    assert rows["kind"].tolist()[0] == "a"
    assert rows["kind"].isna().tolist() == [False, True, False, False]
    np.testing.assert_array_equal(rows[TARGET], [1, 0, 1, np.nan])


def test_key_and_time_are_kept_beside_the_features(features: Make) -> None:
    rows = features(CSV, time="when", key=["size"])
    assert list(rows.columns) == ["size", "when", "ok", "kind", TARGET]
    assert str(rows["when"].dtype) == "datetime64[us, UTC]"
    np.testing.assert_array_equal(rows["size"], [1.5, np.nan, 3, 2])


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        (["yes", "no", None], "yes", [1, 0, None]),
        ([1, 0, 1], 1, [1, 0, 1]),
        ([1.0, None, 2.0], 2, [0, None, 1]),
        ([True, False, True], True, [1, 0, 1]),
        ([True, False, None], False, [0, 1, None]),
        (pd.array([1, 0, None], dtype="Int64"), 1, [1, 0, None]),
        (pd.array([True, None, False], dtype="boolean"), True, [1, None, 0]),
    ],
)
def test_the_target_is_one_where_it_is_positive(values: Any, positive: Any, expected: list[int | None]) -> None:
    labels = table.binary_target(pd.Series(values, name="late"), positive)
    assert str(labels.dtype) == "Int8"
    assert [None if pd.isna(label) else int(label) for label in labels] == expected


@pytest.mark.parametrize(
    ("values", "positive", "reason"),
    [
        (["a", "b", "c"], "a", "target late: has 3 values (a, b, c); it must have two"),
        (list("abcdefg"), "a", "target late: has 7 values (a, b, c, d, e, …); it must have two"),
        (["a", "a"], "a", "target late: has 1 values (a); it must have two"),
        ([None, None], "a", "target late: has 0 values (); it must have two"),
        (["a", "b"], "c", "params.yaml: data.options.positive: no 'c' in late; found a, b"),
        ([0, 1], "1", "params.yaml: data.options.positive: no '1' in late; found 0, 1"),
    ],
)
def test_a_target_that_is_not_binary_is_refused_with_what_it_holds(
    values: list[Any], positive: Any, reason: str
) -> None:
    with pytest.raises(OntimeError) as error:
        table.binary_target(pd.Series(values, name="late"), positive)
    assert str(error.value) == reason


def test_labels_have_the_keys_and_the_targets_of_the_features(features: Make, tmp_path: Path) -> None:
    for key in ([], ["kind", "size"]):
        rows = features(CSV, key=key)
        read, _ = table.read_source(str(tmp_path / "t.csv"))
        options = options_of(key=key)
        layout = table.layout(options, schemas_of(read))
        found = table.labels(tmp_path / "raw", "table", options, layout)
        assert list(found.columns) == [*layout.key, TARGET]
        assert found[TARGET].astype("Float64").tolist() == rows[TARGET].astype("Float64").tolist()
        assert len(found) == len(rows) == 4


def personal_schema(*personal: str) -> dict[str, TableSchema]:
    columns = [("person", "string"), ("age", "integer"), ("visit", "integer"), ("ill", "string")]
    fields = [{"name": name, "type": kind, "personal": name in personal} for name, kind in columns]
    return {"table": TableSchema.model_validate({"fields": fields})}


def test_a_personal_column_is_no_feature_unless_it_is_allowed_by_name() -> None:
    schema = personal_schema("person", "age")
    options: dict[str, Any] = {"target": "ill", "positive": "yes", "key": ["visit"]}
    with pytest.raises(OntimeError, match="no column is left as a feature"):
        table.layout(table.Options(**options), schema)
    assert table.layout(table.Options(**options, allow_personal=["age"]), schema).features == ["age"]
    assert table.layout(table.Options(**options), personal_schema("person")).features == ["age"]


@pytest.mark.parametrize(("role", "value"), [("target", "ill"), ("key", ["visit"])])
def test_a_personal_column_is_neither_target_nor_key_unless_it_is_allowed(role: str, value: str | list[str]) -> None:
    name = value if isinstance(value, str) else value[0]
    options: dict[str, Any] = {"target": "ill", "positive": "yes", "key": ["visit"], role: value}
    with pytest.raises(OntimeError, match=rf"data\.options\.{role}: {name} is marked personal"):
        table.layout(table.Options(**options), personal_schema(name))
    assert table.layout(table.Options(**options, allow_personal=[name]), personal_schema(name)).features
