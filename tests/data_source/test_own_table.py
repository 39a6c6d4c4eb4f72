"""What `ontime init` decides of a table, what a person says instead, and where the table may lie."""

import functools
import http.server
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.data_source.question import positive_value
from ontime.parameters import load_params
from tests.commands import run_command
from tests.live import live
from tests.own_tables import parquet_of
from tests.servers import http_server


def table_of(**columns: Any) -> pd.DataFrame:
    """Forty rows of a strong number, a category, further columns as they are, and a target."""
    random = [(7 * number) % 40 for number in range(40)]
    base = {"x": [value / 8 for value in random], "c": [("a", "b", "c")[value % 3] for value in random]}
    return pd.DataFrame({**base, **columns, "y": [int(value > 18) for value in random]})


def init(source: str, *arguments: str) -> None:
    run_command("init", "--source", source, "--no-run", *arguments)


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def fields_of(folder: Path) -> dict[str, Any]:
    return {field["name"]: field for field in yaml(folder / "data/schema/table.yaml")["fields"]}


def run_stages() -> None:
    """The stages from the file to the rows of the split."""
    for stage in ("ingest", "validate", "featurize", "split"):
        run_command(stage)


def test_a_type_that_a_person_says_is_the_one_that_reads(graph: Path) -> None:
    days = pd.date_range("2020-01-01", periods=40).strftime("%m/%d/%Y")
    table_of(when=days, code=range(100, 140)).to_csv("t.csv", index=False)
    init("t.csv", "--target", "y", "--time", "when", "--type", "when=datetime:%m/%d/%Y", "--type", "code=string")
    assert fields_of(graph)["when"]["format"] == "%m/%d/%Y"
    run_stages()
    rows = read_parquet(paths.RAW / "table" / "table.parquet")
    assert rows["when"].tolist() == pd.date_range("2020-01-01", periods=40, tz="UTC").tolist()
    assert rows["code"].tolist() == [str(number) for number in range(100, 140)]


def test_a_code_column_that_the_edited_schema_calls_a_string_keeps_its_zeros(graph: Path) -> None:
    table_of(code=[f"{number:05}" for number in range(40)]).to_csv("t.csv", index=False)
    init("t.csv", "--target", "y", "--type", "code=integer")
    path = graph / "data/schema/table.yaml"
    path.write_text(path.read_text().replace("name: code\n    type: integer", "name: code\n    type: string"))
    run_stages()
    assert read_parquet(paths.RAW / "table" / "table.parquet")["code"].tolist() == [f"{n:05}" for n in range(40)]


def test_edited_types_and_rules_stay_when_init_is_run_again(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table_of(code=range(40)).to_csv("t.csv", index=False)
    init("t.csv", "--target", "y")
    path = graph / "data/schema/table.yaml"
    edited = path.read_text().replace(
        "name: code\n    type: integer", "name: code\n    # of the office\n    type: string"
    )
    path.write_text(edited)
    init("t.csv", "--target", "y", "--exclude", "x")
    assert path.read_text() == edited
    assert "kept: the types and rules in data/schema/table.yaml" in capsys.readouterr().out
    init("t.csv", "--target", "y", "--type", "code=number")
    assert fields_of(graph)["code"] == {"name": "code", "type": "number", "constraints": {"required": True}}


def test_a_rule_that_the_file_breaks_is_told_before_anything_is_written(graph: Path) -> None:
    table_of().to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match=r"data/schema/table\.yaml: \(c\): duplicated key"):
        init("t.csv", "--target", "y", "--key", "c")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


def test_what_was_read_is_told(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = table_of(n=["NA", *map(str, range(39))], z=[None, *range(39)], id=[f"u{n}" for n in range(40)])
    frame.to_csv("t.csv", index=False, sep=";", decimal=",")
    init("t.csv", "--target", "y")
    out = capsys.readouterr().out
    for line in (
        "read t.csv: 40 rows; delimiter ';', quote '\"', encoding 'utf-8', decimal ',', thousands None\n",
        "number: x\n",
        "integer: n, z, y\n",
        "string: c, id\n",
        "missing values: n 1, z 1\n",
        "n: 1 of 40 values read as missing: NA\n",
        "id: its 40 texts are all different, so a model learns nothing from them: left out; if they name the rows, ",
    ):
        assert line in out
    assert load_params(graph / "params.yaml").data.options["csv"]["decimal"] == ","


@pytest.mark.usefixtures("graph")
def test_numbers_that_a_feature_cannot_tell_apart_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    table_of(big=[10**12 + number for number in range(40)]).to_csv("t.csv", index=False)
    init("t.csv", "--target", "y")
    assert "big: its 40 different values are 1 as a number of 32 bits; --type big=string or" in capsys.readouterr().out


def test_words_for_missing_are_named_once(graph: Path) -> None:
    table_of(n=["unknown", *range(39)]).to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match=r"n: 39 of 40 values are numbers, not 'unknown' in row 1"):
        init("t.csv", "--target", "y")
    init("t.csv", "--target", "y", "--missing", "unknown")
    assert fields_of(graph)["n"] == {"name": "n", "type": "integer"}
    run_stages()
    init("t.csv", "--target", "y")
    assert yaml(graph / "data/schema/table.yaml")["missingValues"] == ["unknown"]


def test_a_nested_column_is_refused_unless_it_is_left_out(graph: Path) -> None:
    frame = table_of()
    frame["l"] = [[1, 2]] * 40
    (graph / "t.parquet").write_bytes(parquet_of(frame))
    with pytest.raises(
        OntimeError, match=r"t\.parquet: l: list<.*> is not a type that a table may have; leave it out with --exclude l"
    ):
        init("t.parquet", "--target", "y")
    init("t.parquet", "--target", "y", "--exclude", "l")
    run_stages()
    assert "l" not in read_parquet(paths.RAW / "table" / "table.parquet")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--type", "x"], r"--type x: expected COLUMN=TYPE, of integer, number"),
        (["--type", "x=texts"], r"--type x=texts: expected COLUMN=TYPE"),
        (["--type", "x=number:%Y"], r"--type x=number:%Y: .*only a datetime has one"),
        (["--type", "w=number"], r"t\.csv: no column w"),
        (["--csv", "separator=;"], r"--csv: separator: unknown key"),
        (["--csv", "delimiter=;"], r"t\.csv: no column y"),
    ],
)
def test_an_option_about_reading_that_says_nothing_is_one_line(graph: Path, arguments: list[str], reason: str) -> None:
    table_of().to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match=reason):
        init("t.csv", "--target", "y", *arguments)
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


@pytest.mark.parametrize("rows", [5, 7])
def test_too_few_rows_for_the_split_are_refused(graph: Path, rows: int) -> None:
    table_of()[:rows].to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match=rf"too few rows: [23] of {rows} rows are of the rarer class; .* at least 4"):
        init("t.csv", "--target", "y")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


@pytest.mark.usefixtures("graph")
def test_boundaries_are_those_of_rows_with_a_target() -> None:
    frame = table_of(when=pd.date_range("2020-01-01", periods=40).strftime("%Y-%m-%d"))
    frame["y"] = frame["y"].astype("Int64").where(frame.index < 20)
    frame.to_csv("t.csv", index=False)
    init("t.csv", "--target", "y", "--time", "when")
    run_stages()
    assert [len(read_parquet(paths.split_rows(part))) for part in ("train", "validation", "test")] == [14, 3, 3]


@pytest.mark.parametrize("folder", ["data/raw", "data/schema", "data/processed/features", "models/champion"])
def test_a_file_in_a_folder_that_the_graph_replaces_is_refused(graph: Path, folder: str) -> None:
    (graph / folder).mkdir(parents=True, exist_ok=True)
    table_of().to_csv(f"{folder}/mine.csv", index=False)
    with pytest.raises(OntimeError, match=rf"{folder}/mine\.csv: in .*, which the graph replaces; move it"):
        init(f"{folder}/mine.csv", "--target", "y")
    assert (graph / folder / "mine.csv").is_file()


@pytest.mark.usefixtures("graph")
def test_a_target_of_any_name_leaves_a_graph_that_dvc_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin")
    target = 'is ${late}: "yes"/no?'
    table_of().rename(columns={"y": target}).to_csv("t.csv", index=False)
    init("t.csv", "--target", target)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    subprocess.run(["dvc", "repro", "--dry", "ingest"], check=True, capture_output=True)
    run_stages()


def test_the_file_is_an_input_of_the_graph_so_that_new_rows_stop_it(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin")
    table_of().to_csv("t.csv", index=False)
    init("t.csv", "--target", "y")
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    subprocess.run(["dvc", "repro", "--quiet", "ingest"], check=True)
    with Path("t.csv").open("a") as stream:
        stream.write("9.5,a,1\n")
    done = subprocess.run(["dvc", "repro", "ingest"], check=False, capture_output=True, text=True)
    assert done.returncode
    assert "t.csv: not the content that data.options.sha256 pins" in done.stderr + done.stdout
    table_of(z=range(40)).to_csv("u.csv", index=False)
    init("u.csv", "--target", "y")
    inputs = yaml(graph / "dvc.yaml")["stages"]["ingest"]["deps"]
    assert ("t.csv" in inputs, inputs[-1]) == (False, "u.csv")


def test_an_address_with_a_secret_is_copied_and_never_written(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin")
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    table_of().to_csv(tmp_path / "t.csv", index=False)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http_server(functools.partial(Quiet, directory=str(tmp_path))) as host:
        init(f"http://{host}/t.csv?X-Amz-Signature=do-not-keep", "--target", "y")
        assert load_params(graph / "params.yaml").data.source == "data/external/t.csv"
        init(f"http://{host}/t.csv", "--target", "y")
        assert load_params(graph / "params.yaml").data.source == f"http://{host}/t.csv"
    for path in graph.rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".dvc"):
            assert "do-not-keep" not in path.read_text()


@pytest.mark.parametrize(
    ("values", "event"), [(["No", "Yes", "Yes"], "Yes"), (["t", "f", "t"], "t"), (["Y", "N"], "Y")]
)
def test_the_usual_word_for_an_event_is_the_event(values: list[str], event: str) -> None:
    assert positive_value(pd.Series(values), None) == event


@pytest.mark.usefixtures("graph")
def test_the_categories_of_any_name_are_ordered_by_their_share_of_events() -> None:
    frame = table_of()
    frame["c"] = ["a", "b"] * 20
    frame["y"] = [int(number % 4 in (0, 1, 2) and number % 2 == 0) or int(number % 8 == 1) for number in range(40)]
    for name in ("share", "size", "sum", "target", "row"):
        frame.rename(columns={"c": name}).to_csv("t.csv", index=False)
        init("t.csv", "--target", "y")
        run_stages()
        assert read_json(paths.VOCABULARY)["categories"] == {name: ["b", "a"]}
