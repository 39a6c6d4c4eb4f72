"""From `ontime init` to `validation.json`: what is told of leaks and identifiers, and a split by group."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.common.layout import Layout
from ontime.data_processing.split import PARTS
from ontime.parameters import load_params
from tests.commands import run_command
from tests.live import live


def table_of(**columns: Any) -> pd.DataFrame:
    """Eighty rows of a number, a category, further columns as they are, and a target."""
    numbers = [(37 * number) % 80 for number in range(80)]
    base = {"x": [(value * 7 % 11) / 8 for value in numbers], "c": [("a", "b", "c")[value % 3] for value in numbers]}
    return pd.DataFrame({**base, **columns, "y": [int(value > 50) for value in numbers]})


def init(table: pd.DataFrame, *arguments: str) -> None:
    table.to_csv("t.csv", index=False)
    run_command("init", "--source", "t.csv", "--target", "y", "--no-run", *arguments)


def run_stages(*names: str) -> None:
    for name in names:
        run_command(name)


def warnings_of() -> list[str] | None:
    """What `validation.json` says of the table."""
    run_stages("ingest", "validate")
    found: list[str] | None = read_json(paths.VALIDATION_REPORT)["table"].get("warnings")
    return found


@pytest.mark.usefixtures("graph")
def test_a_copy_of_the_target_is_told_at_init_and_in_the_report_until_it_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = table_of()
    table["copy"] = table["y"]
    init(table)
    (line,) = warnings_of() or []
    assert line.startswith("copy: says the same as y in all 80 rows")
    assert f"warning: {line}\n" in capsys.readouterr().out
    init(table, "--exclude", "copy")
    assert "warning" not in capsys.readouterr().out
    assert warnings_of() is None


def test_a_text_that_is_different_in_each_row_is_no_feature(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(table_of(id=[f"u{number}" for number in range(80)]))
    assert (
        "id: its 80 texts are all different, so a model learns nothing from them: left out" in capsys.readouterr().out
    )
    assert load_params(graph / "params.yaml").data.options["exclude"] == ["id"]
    init(table_of(id=[f"u{number}" for number in range(80)]), "--key", "id")
    assert load_params(graph / "params.yaml").data.options["exclude"] == []
    assert "left out" not in capsys.readouterr().out


@pytest.mark.parametrize(("options", "texts"), [((), ["note"]), (("--type", "note=string"), [])])
@pytest.mark.usefixtures("graph")
def test_a_text_of_many_words_is_a_feature_unless_a_person_says_that_it_is_a_string(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], texts: list[str]
) -> None:
    notes = [f"The {number} was sent in {number % 7} parts to us" for number in range(80)]
    init(table_of(note=notes), *options)
    printed = capsys.readouterr().out
    assert ("note: text of many words, from which a model learns" in printed) == bool(texts)
    assert ("note: its 80 texts are all different" in printed) != bool(texts)
    run_stages("ingest", "validate", "featurize", "split")
    assert read_json(paths.FEATURE_LAYOUT).get("texts", []) == texts
    assert list(read_json(paths.VOCABULARY).get("texts", {})) == texts
    assert load_params().export.page_features[: len(texts)] == texts


@pytest.mark.usefixtures("graph")
def test_a_person_may_call_a_column_a_text() -> None:
    init(table_of(note=[f"parcel {number}" for number in range(80)]), "--type", "note=text")
    run_stages("ingest", "validate", "featurize", "split")
    assert read_json(paths.FEATURE_LAYOUT)["texts"] == ["note"]
    assert list(read_json(paths.VOCABULARY)["texts"]["note"]) == ["parcel"]


@pytest.mark.usefixtures("graph")
def test_a_table_of_nothing_but_such_a_text_has_no_feature() -> None:
    with pytest.raises(OntimeError, match="no column is left as a feature"):
        init(table_of(id=[f"u{number}" for number in range(80)])[["id", "y"]])


@pytest.mark.usefixtures("graph")
def test_compact_dates_stay_apart() -> None:
    init(table_of(when=[20200101 + number % 2 for number in range(80)]))
    run_stages("ingest", "validate", "featurize")
    assert read_parquet(paths.FEATURES / "table.parquet")["when"].nunique() == 2


@pytest.mark.parametrize("name", ["patient", "target", "row", "share"])
def test_a_group_decides_the_split_and_is_no_feature(
    graph: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    init(table_of(**{name: [f"p{number % 40}" if number % 20 else None for number in range(80)]}), "--group", name)
    assert f"{name}: 4 rows with a target have none, so they are in no part of the split" in capsys.readouterr().out
    params = load_params(graph / "params.yaml")
    assert (params.split.by, params.data.options["group"]) == ("group", name)
    run_stages("ingest", "validate", "featurize", "split")
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    assert (layout.group, name in layout.features) == (name, False)
    sides = [set(read_parquet(paths.split_rows(part))[name]) for part in PARTS]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides)) == 38


def test_a_group_may_have_a_time_beside_it_and_be_of_the_key(graph: Path) -> None:
    days = pd.date_range("2020-01-01", periods=80).strftime("%Y-%m-%d")
    init(
        table_of(p=[number // 2 for number in range(80)], when=days), "--group", "p", "--time", "when", "--key", "when"
    )
    assert load_params(graph / "params.yaml").split.by == "group"
    init(table_of(p=[number // 2 for number in range(80)], when=days), "--group", "p", "--key", "p", "--key", "when")
    run_stages("ingest", "validate", "featurize", "split")
    assert read_json(paths.FEATURE_LAYOUT)["key"] == ["p", "when"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--group", "y"], "--target, --time, --group and --weight: give each a column of its own"),
        (["--group", "q"], "t.csv: no column q; "),
        (["--group", "p", "--personal", "p"], "data.options.group: p is marked personal"),
        (["--group", "one"], "by group, validation has 0 rows of the rarer class and needs 1; "),
    ],
)
def test_a_group_that_cannot_be_one_is_refused(graph: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(OntimeError) as error:
        init(table_of(p=[number // 2 for number in range(80)], one=["a"] * 80), *arguments)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


def test_a_group_in_the_parameters_alone_is_refused(graph: Path) -> None:
    init(table_of())
    path = graph / "params.yaml"
    path.write_text(path.read_text().replace("by: stratified", "by: group"))
    run_stages("ingest", "validate", "featurize")
    with pytest.raises(OntimeError, match=r"split\.by: group needs data\.options\.group; or use stratified"):
        run_stages("split")
