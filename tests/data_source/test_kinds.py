"""Every kind of table that `ontime init` takes goes to the rows of the split; a bad one is refused in one line."""

import datetime
import gzip
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import sqlalchemy
from ruamel.yaml import YAML

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.datasets.content import digest_of
from ontime.datasets.query import VARIABLE
from ontime.parameters import load_params
from ontime.repository.pinned import pin_table
from tests.checkouts import commit, git
from tests.commands import run_command
from tests.live import live
from tests.own_tables import parquet_of
from tests.postgres import Database, postgres

ROWS = 40
QUERY = "SELECT x, c, n, y FROM visits ORDER BY id"


def table() -> pd.DataFrame:
    """Forty rows of a strong number, a category with a missing value, whole numbers and a target."""
    random = [(7 * number) % ROWS for number in range(ROWS)]
    frame = pd.DataFrame(
        {
            "x": [value / 8 for value in random],
            "c": [("a", "b", "007")[value % 3] for value in random],
            "n": range(ROWS),
            "y": [int(value > 18) for value in random],
        }
    )
    frame.loc[3, "c"] = None
    return frame


def records() -> list[dict[str, Any]]:
    """The rows; a missing value has no key."""
    return [{str(k): v for k, v in row.items() if not pd.isna(v)} for row in table().to_dict("records")]


def workbook(rows: list[list[Any]], *sheets: str) -> bytes:
    """An Excel file, with the rows on its first sheet and a cell on each other one."""
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    for sheet in sheets:
        book.create_sheet(sheet).append([1])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def cells() -> list[list[Any]]:
    """The table as rows of cells, the names first."""
    return [list(table()), *([None if pd.isna(v) else v for v in row] for row in table().to_numpy().tolist())]


def json_lines() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in records()).encode()


def init(source: str, *arguments: str) -> None:
    run_command("init", "--source", source, "--target", "y", "--no-run", *arguments)


def run_stages() -> None:
    for stage in ("ingest", "validate", "featurize", "split"):
        run_command(stage)


def options() -> dict[str, Any]:
    return load_params(Path("params.yaml")).data.options


def types() -> dict[str, str]:
    content = YAML(typ="safe", pure=True).load(paths.SCHEMA / "table.yaml")
    return {field["name"]: field["type"] for field in content["fields"]}


def check_rows(frame: pd.DataFrame, key: str = "row") -> None:
    """The rows of the split are those of the table, whatever it was written as."""
    layout = read_json(paths.FEATURE_LAYOUT)
    assert (layout["numbers"], layout["categories"]) == (["x", "n"], ["c"])
    parts = [read_parquet(paths.split_rows(part)) for part in ("train", "validation", "test")]
    rows = pd.concat(parts).sort_values(key, ignore_index=True)
    assert len(rows) == len(frame)
    for name in ("x", "n"):
        assert rows[name].tolist() == frame[name].astype("float32").tolist()
    assert rows["c"].fillna("").tolist() == frame["c"].fillna("").tolist()
    assert rows["target"].tolist() == frame["y"].tolist()


@pytest.fixture
def dvc(graph: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs DVC in the copy of the graph; the commands of its stages are this environment's."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")

    def run(*arguments: str) -> str:
        done = subprocess.run(["dvc", *arguments], cwd=graph, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("init", "--quiet", "--no-scm")
    git(graph, "init", "--quiet")
    commit(graph, "The copy of the graph")
    return run


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson.gz", "t.xlsx", "t.tsv", "t.parquet"])
def test_a_file_of_any_kind_goes_to_the_rows_of_the_split(graph: Path, name: str) -> None:
    written: dict[str, Callable[[], bytes]] = {
        "t.jsonl": json_lines,
        "t.ndjson.gz": lambda: gzip.compress(json_lines()),
        "t.xlsx": lambda: workbook(cells()),
        "t.tsv": lambda: table().to_csv(index=False, sep="\t").encode(),
        "t.parquet": lambda: parquet_of(table()),
    }
    (graph / name).write_bytes(written[name]())
    init(name, "--type", "c=string")
    run_stages()
    assert types() == {"x": "number", "c": "string", "n": "integer", "y": "integer"}
    check_rows(table())


def test_a_column_of_several_types_is_read_as_a_csv_file_would_be(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [row | {"z": "NA" if row["n"] == 3 else row["n"]} for row in records()]
    (graph / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    init("t.jsonl")
    assert types()["z"] == "integer"
    assert "z: 1 of 40 values read as missing: NA" in capsys.readouterr().out
    lines[5]["z"] = "many"
    (graph / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(OntimeError, match=r"t\.jsonl: z: type integer: 1 of 40 values do not fit, for example 'many'"):
        init("t.jsonl")
    (graph / "data/schema/table.yaml").unlink()
    with pytest.raises(OntimeError, match=r"t\.jsonl: z: 38 of 40 values are numbers, not 'NA' in row 4"):
        init("t.jsonl")


def test_whole_numbers_beyond_64_bits_stay_exact(graph: Path) -> None:
    lines = [row | {"big": (1 << 64) + row["n"], "part": (1 << 60) if row["n"] else 0.5} for row in records()]
    (graph / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    init("t.jsonl")
    run_stages()
    rows = read_parquet(paths.RAW / "table" / "table.parquet")
    assert rows["big"].tolist() == [str(row["big"]) for row in lines]
    assert rows["part"].tolist() == [json.dumps(row["part"]) for row in lines]


def test_times_of_a_workbook_are_times(graph: Path) -> None:
    rows = cells()
    rows[0] += ["day", "at", "took"]
    for number, row in enumerate(rows[1:]):
        row += [datetime.date(2020, 1, 1 + number % 28), datetime.time(3, number), datetime.timedelta(hours=number)]
    rows[4][4] = datetime.datetime(2020, 2, 1, 12)
    (graph / "t.xlsx").write_bytes(workbook(rows))
    init("t.xlsx", "--time", "day", "--type", "c=string")
    assert types() | {"day": "datetime", "at": "integer", "took": "integer"} == types()
    run_stages()
    found = read_parquet(paths.RAW / "table" / "table.parquet")
    assert found["day"][3] == pd.Timestamp("2020-02-01 12:00", tz="UTC")
    assert (found["at"][5], found["took"][5]) == (185, 300)


def test_one_of_several_sheets_is_named(graph: Path) -> None:
    (graph / "t.xlsx").write_bytes(workbook(cells(), "more"))
    with pytest.raises(OntimeError, match=r"t\.xlsx: it has the sheets Sheet, more; say which one: --sheet Sheet"):
        init("t.xlsx")
    with pytest.raises(OntimeError, match=r"t\.xlsx: no sheet other; it has Sheet, more"):
        init("t.xlsx", "--sheet", "other")
    init("t.xlsx", "--sheet", "Sheet", "--type", "c=string")
    assert options()["sheet"] == "Sheet"
    run_stages()
    check_rows(table())


def row_of(**changed: Any) -> bytes:
    return json_lines() + json.dumps(changed).encode()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.jsonl", b"", r"the table has no rows"),
        ("t.jsonl", b"[1, 2]\n", r"line 1 is no JSON object"),
        ("t.jsonl", json_lines() + b"{'x': 1}", r"line 41 is not JSON in UTF-8: "),
        ("t.jsonl", json_lines() + b'{"x": "\xff"}', r"line 41 is not JSON in UTF-8: "),
        ("t.jsonl", json_lines() + b'{"c": "\xc3\xa9\\ud800"}', r"line 41 is not JSON in UTF-8: .*surrogate"),
        ("t.jsonl", json_lines() + b'{"x": 1, "x": 2}', r"line 41 is not JSON in UTF-8: 'x' is there twice"),
        ("t.jsonl", b"[" * 100_000, r"line 1 is not JSON in UTF-8: "),
        ("t.jsonl", row_of(l=[1]), r"l: list is not a type that a table may have; leave it out with --exclude l"),
        ("t.jsonl.gz", b"{}", r"not readable: "),
        ("t.xlsx", b"PK", r"not readable: "),
        ("t.xlsx", workbook([]), r"not readable: it is empty"),
        ("t.xlsx", workbook(cells()[:1]), r"the table has no rows"),
        ("t.xlsx", workbook([*cells(), [1, "a", 2, 1, 5]]), r"row 41 has 5 values under 4 names"),
        ("t.xlsx", workbook([["x", "x", "y"], [1, 2, 0]]), r"column x is there twice"),
        ("t.xlsx", workbook([*cells(), ["=1+1", "a", 2, 1]]), r"row 41 has the formula =1\+1 without its value"),
        ("t.sql", b"\xff", r"'utf-8' codec can't decode"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_written(
    graph: Path, name: str, content: bytes, reason: str
) -> None:
    (graph / name).write_bytes(content)
    with pytest.raises(OntimeError, match=rf"{name}: {reason}") as error:
        init(name)
    assert "\n" not in str(error.value)
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


@pytest.mark.parametrize(
    ("missing", "name", "reason"),
    [("openpyxl", "t.xlsx", "an Excel file needs the package openpyxl"), ("psycopg2", "t.sql", "the package psycopg2")],
)
def test_a_package_that_is_not_installed_is_named(
    graph: Path, monkeypatch: pytest.MonkeyPatch, missing: str, name: str, reason: str
) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv(VARIABLE, "postgresql://u:p@127.0.0.1/d")
    (graph / name).write_bytes(b"SELECT 1")
    with pytest.raises(OntimeError, match=rf"{name}: .*{reason}.*`make setup-tables`"):
        init(name)


MONTHS = {"2013-01": slice(0, 18), "2013-02": slice(18, 40)}


def write_months(folder: Path, ending: str, **arguments: Any) -> None:
    folder.mkdir()
    for name, rows in MONTHS.items():
        part = table()[rows]
        if ending == ".parquet":
            (folder / f"{name}.parquet").write_bytes(parquet_of(part))
        elif ending == ".jsonl":
            part.to_json(folder / f"{name}.jsonl", orient="records", lines=True)
        else:
            part.to_csv(folder / f"{name}.csv", index=False, **arguments)


@pytest.mark.parametrize(
    ("ending", "written"), [(".parquet", {}), (".jsonl", {}), (".csv", {"sep": ";", "decimal": ","})]
)
def test_each_file_of_a_folder_is_a_partition(graph: Path, ending: str, written: dict[str, Any]) -> None:
    write_months(graph / "months", ending, **written)
    (graph / "months" / "_SUCCESS").touch()
    init("months", "--type", "c=string")
    assert options()["folder"] is True
    run_stages()
    for stage in (paths.RAW / "table", paths.FEATURES):
        assert sorted(path.name for path in stage.iterdir()) == ["2013-01.parquet", "2013-02.parquet"]
    assert read_json(paths.FEATURE_LAYOUT)["key"] == ["file", "row"]
    check_rows(table(), "n")
    rows = read_parquet(paths.FEATURES / "2013-02.parquet")
    assert (set(rows["file"]), rows["row"].tolist()) == ({"2013-02"}, list(range(22)))


def test_how_the_files_of_a_folder_are_written_is_found_from_all_of_them(graph: Path) -> None:
    (graph / "months").mkdir()
    frame = table()
    frame["x"] = range(ROWS)
    frame[:18].to_csv("months/1.csv", index=False, sep=";")
    frame["x"] = frame["x"] / 8
    frame[18:].to_csv("months/2.csv", index=False, sep=";", decimal=",")
    init("months", "--type", "c=string")
    assert options()["csv"]["decimal"] == ","
    run_stages()
    assert types()["x"] == "number"
    assert read_parquet(paths.FEATURES / "2.parquet")["x"].tolist() == [number / 8 for number in range(18, ROWS)]


def test_a_file_with_one_class_or_none_is_a_partition_and_a_third_class_stops_the_graph(graph: Path) -> None:
    (graph / "months").mkdir()
    frame = table().sort_values("y")
    frame["y"] = frame["y"].map({0: "no", 1: "yes"})
    frame[:15].to_csv("months/1.csv", index=False)
    frame[15:].to_csv("months/2.csv", index=False)
    frame[:2].assign(y=None).to_csv("months/3.csv", index=False)
    init("months", "--type", "c=string")
    run_stages()
    labels = [read_parquet(paths.FEATURES / f"{number}.parquet")["target"] for number in (1, 2, 3)]
    assert [sorted(part.dropna().unique()) for part in labels] == [[0], [0, 1], []]
    frame[:2].assign(y="maybe").to_csv("months/4.csv", index=False)
    pin_table("months", digest_of("months"))
    with pytest.raises(OntimeError, match=r"months/4\.csv: target y: has a third value \(maybe, no, yes\)"):
        run_command("ingest")
    assert not (paths.RAW / "table" / "4.parquet").exists()


def test_a_new_file_of_a_folder_stops_the_graph_until_it_is_taken_and_costs_one_file(
    graph: Path, dvc: Callable[..., str]
) -> None:
    write_months(graph / "months", ".csv")
    later = graph / "months" / "2013-02.csv"
    shutil.move(later, graph / "later")
    init("months", "--type", "c=string")
    dvc("repro", "--quiet", "featurize")
    cache = graph / ".dvc" / "cache" / "files" / "md5"
    before = {path for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".dir")}
    shutil.move(graph / "later", later)
    with pytest.raises(OntimeError, match=r"months: not the content that data\.options\.sha256 pins: restore the file"):
        run_command("ingest")
    run_command("refresh")
    dvc("repro", "--quiet", "featurize")
    after = {path for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".dir")}
    # one file each of data/raw and data/processed/features, and validation.json
    assert len(after - before) == 3
    run_command("split")
    check_rows(table(), "n")


def test_a_folder_may_have_a_target_of_numbers(graph: Path) -> None:
    write_months(graph / "months", ".csv")
    run_command("init", "--source", "months", "--target", "x", "--type", "c=string", "--no-run")
    run_stages()
    parts = [read_parquet(paths.FEATURES / f"{name}.parquet") for name in MONTHS]
    assert pd.concat(parts)["target"].tolist() == table()["x"].tolist()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], r"it has nothing"),
        (["1.csv", "2.parquet"], r"all its files have the same ending, .*; it has 1\.csv, 2\.parquet"),
        (["1.csv", "readme.txt"], r"it has 1\.csv, readme\.txt"),
        (["1.xlsx"], r"it has 1\.xlsx"),
    ],
)
def test_a_folder_of_other_files_is_refused(graph: Path, names: list[str], reason: str) -> None:
    (graph / "months").mkdir()
    for name in names:
        (graph / "months" / name).write_bytes(b"x,y\n1,0\n")
    with pytest.raises(OntimeError, match=rf"months: a folder is read as a table only if .*{reason}"):
        init("months")


def test_files_with_other_columns_or_types_are_refused(graph: Path) -> None:
    write_months(graph / "months", ".parquet")
    last = graph / "months" / "2013-02.parquet"
    last.write_bytes(parquet_of(table().drop(columns="n")))
    with pytest.raises(OntimeError, match=r"months/2013-02\.parquet: no column n, which 2013-01\.parquet has"):
        init("months")
    last.write_bytes(parquet_of(table().astype({"n": "str"})))
    with pytest.raises(OntimeError, match=r"months: n: int64 in 2013-01\.parquet, large_string in 2013-02\.parquet"):
        init("months")
    last.write_bytes(parquet_of(table().assign(n=0.5)))
    init("months")
    run_stages()


def test_a_folder_that_holds_what_the_graph_replaces_is_refused(graph: Path) -> None:
    (graph / "data" / "t.csv").write_text("x,y\n1,0\n")
    with pytest.raises(OntimeError, match=r"data: has data/schema, which the graph replaces"):
        init("data")


def test_a_folder_from_elsewhere_is_copied_and_tracked(graph: Path, tmp_path: Path, dvc: Callable[..., str]) -> None:
    del dvc
    write_months(tmp_path / "months", ".csv")
    init(str(tmp_path / "months"), "--type", "c=string")
    assert load_params(graph / "params.yaml").data.source == "data/external/months"
    assert sorted(path.name for path in (graph / "data/external/months").iterdir()) == [f"{n}.csv" for n in MONTHS]
    assert (graph / "data" / "external" / "months.dvc").is_file()
    run_stages()
    check_rows(table(), "n")


@pytest.fixture
def sqlite(graph: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = graph.parent / "visits.db"
    with sqlite3.connect(path) as connection:
        table().assign(id=range(ROWS)).to_sql("visits", connection, index=False)
    connection.close()
    monkeypatch.setenv(VARIABLE, f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with postgres("hospital", "reader") as made:
        engine = sqlalchemy.create_engine(made.url("postgresql+psycopg2"))
        frame = table().assign(id=range(ROWS), born=datetime.date(2000, 1, 2), seen=pd.Timestamp.now("UTC"), price=2.5)
        price = sqlalchemy.Numeric(8, 2)
        frame.to_sql("visits", engine, index=False, dtype={"price": price, "born": sqlalchemy.Date()})
        engine.dispose()
        yield made


def test_a_query_goes_to_the_rows_of_the_split_and_its_result_is_pinned(
    graph: Path, sqlite: Path, dvc: Callable[..., str]
) -> None:
    (graph / "visits.sql").write_text(QUERY + ";  -- 100 % of the visits\n")
    init("visits.sql")
    assert "visits.sql" in YAML(typ="safe").load(graph / "dvc.yaml")["stages"]["ingest"]["deps"]
    dvc("repro", "--quiet", "featurize")
    run_command("split")
    check_rows(table())
    with sqlite3.connect(sqlite) as connection:
        connection.execute("INSERT INTO visits VALUES (9.5, 'a', 40, 1, 40)")
    connection.close()
    run_command("refresh")
    run_command("ingest")
    assert len(read_parquet(paths.RAW / "table" / "table.parquet")) == ROWS + 1


@pytest.mark.integration
def test_a_query_to_postgresql_goes_to_the_rows_of_the_split_and_no_secret_is_written(
    graph: Path, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, server.url("postgresql"))
    (graph / "visits.sql").write_text(QUERY.replace("y FROM", "y, born, seen, price, c LIKE '0%' AS zero FROM"))
    init("visits.sql", *(f"--exclude={name}" for name in ("born", "seen", "price", "zero")))
    assert types() | {"born": "datetime", "seen": "datetime", "price": "number", "zero": "boolean"} == types()
    run_stages()
    check_rows(table())
    server.ask("UPDATE visits SET x = x + 1 WHERE id = 5")
    with pytest.raises(
        OntimeError,
        match=r"visits\.sql: not the content that .* pins: give the query an ORDER BY, or .*`ontime refresh`",
    ):
        run_command("ingest")
    for path in graph.rglob("*"):
        assert not path.is_file() or server.password.encode() not in path.read_bytes()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT x, z FROM visits", r'column "z" does not exist'),
        ("SELECT x AS y, y FROM visits", r"the query returns two columns y; name each with AS"),
        ("SELECT ARRAY[1, 2] AS l, y FROM visits", r"l: list is not a type that a table may have"),
        ("SELECT x, y FROM visits WHERE false", r"the table has no rows"),
        ("DELETE FROM visits", r"syntax error"),
        ("", r"can't execute an empty query"),
    ],
)
def test_a_bad_query_is_refused_in_one_line(
    graph: Path, server: Database, monkeypatch: pytest.MonkeyPatch, query: str, reason: str
) -> None:
    monkeypatch.setenv(VARIABLE, server.url("postgresql"))
    (graph / "visits.sql").write_text(query)
    with pytest.raises(OntimeError, match=rf"visits\.sql: .*{reason}") as error:
        init("visits.sql")
    assert "\n" not in str(error.value)
    assert server.ask("SELECT count(*) FROM visits") == str(ROWS)


@pytest.mark.integration
def test_a_wrong_password_is_told_without_it(graph: Path, server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server.url("postgresql").replace(server.password, "do-not-show"))
    (graph / "visits.sql").write_text(QUERY)
    with pytest.raises(OntimeError, match=r"visits\.sql: postgresql://127\.0\.0\.1:.*/hospital: .*password") as error:
        init("visits.sql")
    assert "do-not-show" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "query", "reason"),
    [
        (None, QUERY, rf"set the address of its database in the environment variable {VARIABLE}: postgresql://"),
        ("not an address", QUERY, rf"{VARIABLE}: not the address of a database"),
        ("sqlite:///nothing.db", QUERY, rf"{VARIABLE}: nothing\.db: no such file"),
        ("postgresql://u:do-not-show@127.0.0.1:1/d", QUERY, r"postgresql://127\.0\.0\.1:1/d: .*refused"),
        ("sqlite", "DROP TABLE visits", r"readonly database"),
        ("sqlite", "SELECT z FROM visits", r"no such column: z"),
        ("sqlite", "PRAGMA user_version = 2", r"the query returns no rows|readonly"),
    ],
)
def test_a_database_that_does_not_answer_is_told_in_one_line(
    graph: Path, sqlite: Path, monkeypatch: pytest.MonkeyPatch, address: str | None, query: str, reason: str
) -> None:
    if address is None:
        monkeypatch.delenv(VARIABLE)
    elif address != "sqlite":
        monkeypatch.setenv(VARIABLE, address)
    (graph / "visits.sql").write_text(query)
    with pytest.raises(OntimeError, match=rf"visits\.sql: .*{reason}") as error:
        init("visits.sql")
    assert "do-not-show" not in str(error.value)
    assert "\n" not in str(error.value)
    assert not (graph / "nothing.db").exists()
    assert sqlite3.connect(sqlite).execute("SELECT count(*) FROM visits").fetchone() == (ROWS,)


def test_a_query_at_an_address_is_refused(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text(QUERY)
    with pytest.raises(OntimeError, match=r"q\.sql: a query is a file in the checkout"):
        init(f"file://{tmp_path}/q.sql")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()
