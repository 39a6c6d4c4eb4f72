"""Small tables as files: their bytes, the columns that are read from them, and tables of any names and values."""

import csv
import datetime
import io
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies

from ontime.datasets.content import Content
from ontime.datasets.reader import Columns, read_columns


def parquet_of(frame: pd.DataFrame, index: bool = False) -> bytes:
    """A frame as the bytes of a parquet file."""
    stream = io.BytesIO()
    frame.to_parquet(stream, index=index)
    return stream.getvalue()


def content_of(data: bytes, kind: str = ".csv") -> Content:
    """Bytes as a file that was fetched."""
    return Content(data, data, "", kind)


def columns_of(frame: pd.DataFrame) -> Columns:
    """The columns of a frame that went through a parquet file."""
    return read_columns(content_of(parquet_of(frame), ".parquet"), "here")


ROWS = 16
"""Rows of a drawn table; eight of each class are enough for a split."""
OUR_NAMES = ("target", "row", "share", "size", "sum", "probability", "decision", "key", "time", "index", "level_0", "y")
ODD_NAMES = (
    "a.b",
    'say "x"',
    "${x}",
    "{{x}}",
    "a\\b",
    "a\nb",
    "\t",
    "[0]",
    "a,b;c",
    " ",
    "'",
    "# x",
    "- x",
    "a: b",
    "null",
    "1",
    "😀",
    "é",
)
NAMES = strategies.one_of(
    strategies.sampled_from([*OUR_NAMES, *(f"{name}_" for name in OUR_NAMES), *ODD_NAMES]),
    strategies.text(strategies.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
)
TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: dict[str, strategies.SearchStrategy[Any]] = {
    "integer": strategies.integers(-(1 << 70), 1 << 70) | strategies.integers(-99, 99),
    "number": strategies.floats(width=32, allow_nan=False, allow_infinity=False),
    "boolean": strategies.booleans(),
    "text": TEXTS,
    "category": strategies.sampled_from(["NA", "a", "007", "1,5", "None", "-", "2020-01-01", "20200101", "true", "0"]),
    "date": strategies.dates(datetime.date(1, 1, 1)).map(str),
    "time": strategies.datetimes(datetime.datetime(1, 1, 1)).map(lambda time: time.isoformat(timespec="microseconds")),
}


@dataclass(frozen=True)
class AnyTable:
    """Values by column, the name of the target among them, and how they are written."""

    columns: dict[str, list[Any]]
    target: str
    kind: str
    delimiter: str

    @property
    def cells(self) -> dict[str, list[str]]:
        """The values as texts; a missing one is empty."""
        return {
            name: ["" if value is None else str(value) for value in values] for name, values in self.columns.items()
        }

    def written(self) -> bytes:
        """The file's bytes; numbers beyond 64 bits are texts in parquet."""
        stream = io.BytesIO()
        if self.kind == ".parquet":
            pq.write_table(pa.table({name: _arrow(values) for name, values in self.columns.items()}), stream)
            return stream.getvalue()
        if self.kind == ".jsonl":
            rows = zip(*self.columns.values(), strict=True)
            return "".join(json.dumps(dict(zip(self.columns, row, strict=True))) + "\n" for row in rows).encode()
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(self.columns)
        writer.writerows(zip(*self.cells.values(), strict=True))
        return text.getvalue().encode()


def _arrow(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])


@strategies.composite
def any_tables(draw: strategies.DrawFn) -> AnyTable:
    """Tables of any names, types and values, with a target of two values."""
    names = draw(strategies.lists(NAMES, min_size=2, max_size=6, unique=True))
    columns = {}
    for name in names[1:]:
        values = VALUES[draw(strategies.sampled_from(sorted(VALUES)))]
        columns[name] = draw(strategies.lists(values | strategies.none(), min_size=ROWS, max_size=ROWS))
    classes = draw(strategies.sampled_from([(0, 1), ("yes", "no"), (True, False), (0.5, 1.5), ("NA", "é")]))
    columns[names[0]] = [classes[number % 2] for number in range(ROWS)]
    kind = draw(strategies.sampled_from([".csv", ".parquet", ".jsonl"]))
    return AnyTable(columns, names[0], kind, draw(strategies.sampled_from([",", ";", "\t", "|"])))


def is_kept(cell: str, value: Any, kind: str, missing: list[str]) -> bool:
    """Whether a value of a typed frame is what a cell says, by Python's own readings of texts."""
    if pd.isna(value):
        return not cell.strip() or cell in missing
    if kind == "string":
        return bool(value == cell)
    if kind == "boolean":
        return str(value).lower() == cell.strip().lower()
    if kind == "datetime":
        return bool(value == pd.Timestamp(cell.strip()).tz_localize("UTC").as_unit("us"))
    numbers = {cell.strip().replace(*signs) for signs in (("", ""), (",", ""), (",", "."))}
    return any(_number(text) == value or (kind == "integer" and _whole(text) == value) for text in numbers)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
