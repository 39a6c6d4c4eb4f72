"""A column of weights, from `ontime init` to the rows of the split; a bad one is refused in one line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet, write_parquet
from ontime.common.layout import Layout
from ontime.common.weights import load_weights
from ontime.data_processing.split import PARTS
from ontime.parameters import load_params
from tests.commands import run_command

ROWS = 80


def table_of(weights: list[Any], name: str = "w") -> pd.DataFrame:
    """Rows of a number, a category, weights, and a target."""
    numbers = [(37 * number) % ROWS for number in range(ROWS)]
    kinds = [("a", "b", "c")[value % 3] for value in numbers]
    return pd.DataFrame({"x": numbers, "c": kinds, name: weights, "y": [int(value > 50) for value in numbers]})


def init(table: pd.DataFrame, *arguments: str) -> None:
    table.to_csv("t.csv", index=False)
    run_command("init", "--source", "t.csv", "--target", "y", "--no-run", *arguments)


WEIGHTS = [number % 5 / 4 for number in range(ROWS)]


@pytest.mark.parametrize("name", ["w", "target", "row", "weight"])
def test_a_weight_is_no_feature_and_goes_with_its_rows(
    graph: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    init(table_of(WEIGHTS, name), "--weight", name)
    assert f"{name}: the weight of each row, from 0 to 1; their sum is 40\n" in capsys.readouterr().out
    params = load_params(graph / "params.yaml")
    assert params.data.options["weight"] == name
    assert name not in params.export.page_features
    assert f"| {name} | number | 0 | weight of the row |" in (graph / "data" / "README.md").read_text()
    for stage in ("ingest", "validate", "featurize", "split"):
        run_command(stage)
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    assert (layout.weight, layout.features) == (name, ["x", "c"])
    rows = pd.concat([read_parquet(paths.split_rows(part)) for part in PARTS])
    expected = pd.Series(WEIGHTS, index=table_of(WEIGHTS)["x"])
    assert rows[name].tolist() == expected.loc[rows["x"]].tolist()
    assert (found := load_weights(*PARTS)) is not None
    assert found.tolist() == rows[name].tolist()
    assert read_json(paths.VOCABULARY)["numbers"] == ["x"]


@pytest.mark.usefixtures("graph")
def test_a_table_without_a_weight_has_none() -> None:
    init(table_of(WEIGHTS))
    assert "weight" not in load_params().data.options
    for stage in ("ingest", "validate", "featurize", "split"):
        run_command(stage)
    assert load_weights("train") is None


@pytest.mark.parametrize(
    ("weights", "arguments", "reason"),
    [
        (
            [*WEIGHTS[:-1], -1.0],
            ["--weight", "w"],
            "--weight: w: weights are finite numbers from 0 on; 1 of 80 are not",
        ),
        ([None, *WEIGHTS[1:]], ["--weight", "w"], "the first in row 1 of t.csv: no value"),
        ([0] * ROWS, ["--weight", "w"], "--weight: w: all 80 weights are 0, so no row counts"),
        (["p", "q"] * 40, ["--weight", "w"], "data.options.weight: w is not a number"),
        (WEIGHTS, ["--weight", "v"], "t.csv: no column v; it has x, c, w, y"),
        (WEIGHTS, ["--weight", "y"], "--target, --time, --group and --weight: give each a column of its own"),
        (WEIGHTS, ["--weight", "w", "--key", "w"], "(w): duplicated key"),
        (WEIGHTS, ["--weight", "w", "--personal", "w"], "data.options.weight: w is marked personal"),
    ],
)
def test_a_column_that_cannot_be_a_weight_is_refused_and_nothing_is_written(
    graph: Path, weights: list[Any], arguments: list[str], reason: str
) -> None:
    before = (graph / "params.yaml").read_bytes()
    with pytest.raises(OntimeError) as error:
        init(table_of(weights), *arguments)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert (graph / "params.yaml").read_bytes() == before


@pytest.mark.usefixtures("graph")
def test_rows_that_do_not_count_make_no_class() -> None:
    table = table_of(WEIGHTS)
    with pytest.raises(OntimeError, match=r"^too few rows: 0 of 51 rows are of the rarer class"):
        init(table.assign(w=(table["y"] == 0).astype(int)), "--weight", "w")


@pytest.mark.usefixtures("graph")
def test_weights_that_went_wrong_stop_the_graph_in_one_line() -> None:
    init(table_of(WEIGHTS), "--weight", "w")
    run_command("ingest")
    path = paths.RAW / "table" / "table.parquet"
    rows = read_parquet(path)
    rows.loc[[7, 11], "w"] = [float("inf"), -3.0]
    write_parquet(rows, path)
    with pytest.raises(OntimeError) as error:
        run_command("validate")
    assert str(error.value) == (
        "table.w: weights are finite numbers from 0 on; 2 of 80 are not, the first in row 8 of table: inf"
    )
