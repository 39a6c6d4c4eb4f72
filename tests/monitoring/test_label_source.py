"""Labels are the same from a file, a store and a database, and what is none is refused in one line."""

import datetime
import sqlite3
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.datasets.content import LISTED
from ontime.monitoring.label_kinds import Labels
from ontime.monitoring.label_source import parse_times, read_labels
from tests.labelled import kind_of

ROWS: dict[str, list[Any]] = {
    "key": ["007", "b/2", None, "d"],
    "target": [1, 0, 1, None],
    "known_at": ["2024-03-01T10:00:00Z", None, None, "2024-03-01T12:00:00+01:00"],
}
EXPECTED = pd.DataFrame(
    {
        "key": pd.Series(["007", "b/2", "d"], dtype="str"),
        "target": pd.array([1, 0, None], dtype="Int8"),
        "known_at": pd.Series(["2024-03-01T10:00Z", None, "2024-03-01T11:00Z"]).astype("datetime64[us, UTC]"),
    }
)
BINARY = kind_of()
QUERY = "SELECT name AS key, late AS target, arrived AS known_at FROM answers"


def database(path: Path) -> str:
    """A database with the rows in a table of its own; its address."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (name TEXT, late INTEGER, arrived TEXT)")
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?)", list(zip(*ROWS.values(), strict=True)))
    connection.close()
    return f"sqlite:///{path}"


def test_a_csv_file_a_parquet_file_a_store_and_a_database_give_the_same(tmp_path: Path) -> None:
    rows = pd.DataFrame(ROWS)
    rows.to_csv(tmp_path / "labels.csv", index=False)
    rows.to_csv(tmp_path / "labels.csv.gz", index=False)
    typed = rows.assign(known_at=pd.to_datetime(rows["known_at"], utc=True, format="ISO8601"))
    typed.to_parquet(tmp_path / "labels.parquet", index=False)
    fsspec.filesystem("memory").pipe_file("/truth/labels.csv", (tmp_path / "labels.csv").read_bytes())
    for address in (*(str(path) for path in tmp_path.glob("labels.*")), "memory://truth/labels.csv"):
        pd.testing.assert_frame_equal(read_labels(address, None, BINARY), EXPECTED)
    pd.testing.assert_frame_equal(read_labels(database(tmp_path / "labels.db"), QUERY, BINARY), EXPECTED)


def test_labels_need_not_say_when_they_were_known_and_may_be_called_true_and_false(tmp_path: Path) -> None:
    pd.DataFrame({"key": [1, 2], "target": [True, False]}).to_parquet(tmp_path / "labels.parquet")
    found = read_labels(str(tmp_path / "labels.parquet"), None, BINARY)
    assert found["key"].tolist() == ["1", "2"]
    assert found["target"].tolist() == [1, 0]
    assert found["known_at"].isna().all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("name,target\na,1\n", "no column key; it has name, target"),
        ("key,late\na,1\n", "no column target; it has key, late"),
        ("key,target\na,2\n", "target: expected 0, 1 or nothing, found"),
        ("key,target\na,late\n", "target: expected 0, 1 or nothing, found 'late'"),
        ("key,target,known_at\na,1,noon\n", "known_at: expected times such as 2013-07-01T10:00:00Z"),
        ("", "not readable"),
        ("key,target\n", "the table has no rows"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(OntimeError) as refused:
        read_labels(str(path), None, BINARY)
    assert str(refused.value).startswith(f"--labels: {path}: {reason}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (kind_of("multiclass", ["2", "10", "fern"]), [2, "10", "fern", None], [0, 1, 2, None]),
        (kind_of("multiclass", ["1", "2", "3"]), [3, 1, 2.0, None], [2, 0, 1, None]),
        (kind_of("regression"), [-1.5, 1e9, 0, None], [-1.5, 1e9, 0, None]),
    ],
    ids=["classes", "classes that are numbers", "numbers"],
)
def test_classes_are_named_and_numbers_are_any(
    tmp_path: Path, kind: Labels, values: list[Any], expected: list[Any]
) -> None:
    rows = pd.DataFrame({"key": ["a", "b", "c", "d"], "target": pd.Series(values, dtype=object)})
    rows.to_csv(tmp_path / "labels.csv", index=False)
    with sqlite3.connect(tmp_path / "labels.db") as connection:
        rows.to_sql("answers", connection)
    connection.close()
    sources = [(str(tmp_path / "labels.csv"), None), (f"sqlite:///{tmp_path / 'labels.db'}", "SELECT * FROM answers")]
    if len({type(value) for value in values if value is not None}) == 1:
        rows.infer_objects().to_parquet(tmp_path / "labels.parquet", index=False)
        sources.append((str(tmp_path / "labels.parquet"), None))
    for source in sources:
        found = read_labels(*source, kind)
        pd.testing.assert_series_equal(found["target"], pd.Series(expected, dtype=kind.dtype, name="target"))


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (kind_of("multiclass", ["moss", "rose", "fern"]), "oak", "a class of the model (moss, rose, fern) or nothing"),
        (kind_of("multiclass", list("abcdefg")), "1", "a class of the model (a, b, c, d, e, …) or nothing"),
        (kind_of("regression"), "much", "a number or nothing"),
        (kind_of("regression"), "inf", "a number or nothing"),
    ],
)
def test_a_label_of_another_task_is_one_line(tmp_path: Path, kind: Labels, value: str, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"key,target\na,{value}\n")
    with pytest.raises(OntimeError) as refused:
        read_labels(str(path), None, kind)
    assert str(refused.value).startswith(f"--labels: {path}: target: expected {reason}, found ")
    assert "\n" not in str(refused.value)


def test_keys_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"key": [1.5], "target": [1]}).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(OntimeError, match=r"key: expected texts or whole numbers, found 1\.5"):
        read_labels(str(tmp_path / "labels.parquet"), None, BINARY)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("labels.txt", f"not a {LISTED} file"), ("absent.csv", "not found")],
)
def test_what_is_not_there_is_one_line(address: str, reason: str) -> None:
    with pytest.raises(OntimeError, match=f"^--labels: {address}: {reason}$"):
        read_labels(address, None, BINARY)


@pytest.mark.parametrize(
    ("address", "query", "reason"),
    [
        ("sqlite:///{path}", "SELECT * FROM answers", "no such table: answers"),
        ("sqlite:///{path}", "CREATE TABLE answers (key TEXT)", "This result object does not return rows"),
        ("sqlite:///{path}", "SELECT 'a' AS name", "no column key; it has name"),
        ("{path}", QUERY, "Could not parse SQLAlchemy URL"),
        ("mysql://user:secret@host/labels", QUERY, "its driver is not installed"),
    ],
)
def test_a_database_that_cannot_answer_is_one_line_without_its_password(
    tmp_path: Path, address: str, query: str, reason: str
) -> None:
    with pytest.raises(OntimeError) as refused:
        read_labels(address.format(path=tmp_path / "new.db"), query, BINARY)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


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
    times = parse_times(values)
    assert str(times.dtype) == "datetime64[us, UTC]"
    assert times[0] == pd.Timestamp("2013-01-01", tz="UTC")
    assert times.isna().tolist() == [False, True]
