"""A fork's own table: one CSV or parquet file with a target column of two values.

In: the file that `data.source` names (a path, or an s3://, gs://, abfs:// or https:// address, read through
fsspec) and the schema that `ontime init` wrote and a person edits, by which it is read. Out: its rows with the target
as 0 or 1; numbers and booleans are number features, texts are categories, times other than the one to split by become
days since 1970. A column that the schema marks personal is left out, unless `data.options.allow_personal` names it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet
from ontime.common.layout import Layout, own
from ontime.common.params import Section
from ontime.datasets.content import fetch, without_secrets
from ontime.datasets.csv_form import CsvForm
from ontime.datasets.reader import read_columns, typed_frame
from ontime.datasets.schema import TableSchema

PARTITIONED_TABLE = "table"
ROW = "row"
MICROSECONDS_PER_DAY = 86_400_000_000


class Options(Section):
    """What the columns mean.

    `target` is the column to predict and `positive` its value that counts as the event; `time` is the column to
    split by; `group` the column whose values must not be on two sides of the split; `key` the columns that name a row
    (none: its number in the file); `exclude` columns that are no features; `allow_personal` columns marked personal in
    the schema that may be used all the same. `csv` says how a text file is written; `sha256` pins the file's content.
    """

    target: str
    positive: str | int | float | bool
    time: str | None = None
    group: str | None = None
    key: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    allow_personal: list[str] = Field(default_factory=list)
    csv: CsvForm | None = None
    sha256: str | None = None


def read_tables(
    source: str, options: Options, schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the one table, its columns as the schema types them.

    Raises:
        OntimeError: not the pinned content, not readable, or values that are not of their column's type.
    """
    content = fetch(source)
    shown = f"data.source: {without_secrets(source)}"
    if options.sha256 and content.digest != options.sha256:
        raise OntimeError(
            f"{shown}: not the content that data.options.sha256 pins: "
            f"restore the file, or take the new content by setting it to {content.digest}"
        )
    if PARTITIONED_TABLE not in schemas:
        raise OntimeError(f"data/schema/{PARTITIONED_TABLE}.yaml: not found; write it with `ontime init`")
    columns = read_columns(content, shown, options.csv)
    yield PARTITIONED_TABLE, PARTITIONED_TABLE, typed_frame(columns, schemas[PARTITIONED_TABLE], shown, options.exclude)


def layout(options: Options, schemas: Mapping[str, TableSchema]) -> Layout:
    """Roles of the columns: by the schema's types, less target, key, time and excluded ones."""
    schema = schemas[PARTITIONED_TABLE]
    known = [column.name for column in schema.fields]
    for role, names in {
        "target": [options.target],
        "time": [options.time] if options.time else [],
        "group": [options.group] if options.group else [],
        "key": options.key,
        "exclude": options.exclude,
        "allow_personal": options.allow_personal,
    }.items():
        for name in names:
            if name not in known:
                raise OntimeError(f"params.yaml: data.options.{role}: no column {name} in data/schema/table.yaml")
    if options.time and options.time not in schema.of_type("datetime"):
        raise OntimeError(f"params.yaml: data.options.time: {options.time} is not a datetime in data/schema/table.yaml")
    kept_out = set(schema.personal) - set(options.allow_personal)
    once = [(role, getattr(options, role)) for role in ("target", "time", "group")]
    for role, column in [*once, *(("key", name) for name in options.key)]:
        if column in kept_out:
            raise OntimeError(
                f"params.yaml: data.options.{role}: {column} is marked personal in data/schema/table.yaml, and it "
                "would be in features and logs; use another column, or name it in data.options.allow_personal"
            )
    roles = {options.target, options.time, options.group, *options.key, *options.exclude, *kept_out}
    numbers = [name for name in schema.of_type("integer", "number", "boolean", "datetime") if name not in roles]
    categories = [name for name in schema.of_type("string") if name not in roles]
    if not numbers and not categories:
        raise OntimeError("data/schema/table.yaml: no column is left as a feature")
    for name in [*numbers, *categories]:
        if any(sign in '"\\' or sign < " " for sign in name):
            # the service's decoder of records takes no such name
            raise OntimeError(
                f"data/schema/table.yaml: {name!r}: a feature's name has no double quote, backslash or line break; "
                "rename the column in the file, or name it in --exclude or data.options.exclude"
            )
    return Layout(
        key=options.key or [own(ROW, known)],
        time=options.time,
        numbers=numbers,
        categories=categories,
        group=options.group,
    )


def asked_minutes_before(options: Options) -> int:
    """A row is asked about at its time."""
    del options
    return 0


def features(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """The rows of the raw table in its own order, with the columns of `layout`.

    Raises:
        OntimeError: the target has no row of either class.
    """
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    frame = _keys(rows, options, layout)
    for name in (layout.time, layout.group):
        if name:
            frame[name] = rows[name]
    for name in layout.numbers:
        frame[name] = feature_numbers(rows[name])
    for name in layout.categories:
        frame[name] = rows[name].astype("str").mask(rows[name].isna())
    frame[layout.target] = binary_target(rows[options.target], options.positive)
    return frame[layout.columns]


def files(raw: Path, partition: str) -> list[Path]:
    """The raw files that `features` reads for one partition."""
    return [raw / PARTITIONED_TABLE / f"{partition}.parquet"]


def feature_numbers(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column as a number feature of 32 bits; a time as days since 1970."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.astype("int64").where(values.notna()) / MICROSECONDS_PER_DAY
    return values.astype("float64").astype(np.float32)


def labels(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """Key and `target`, 0, 1 or missing, of each row of the raw table; it does not say since when that is known.

    Raises:
        OntimeError: the target has no row of either class.
    """
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    return _keys(rows, options, layout).assign(**{layout.target: binary_target(rows[options.target], options.positive)})


def _keys(rows: pd.DataFrame, options: Options, layout: Layout) -> pd.DataFrame:
    return rows[layout.key].copy() if options.key else pd.DataFrame({layout.key[0]: np.arange(len(rows))})


def binary_target(values: "pd.Series[Any]", positive: Any) -> "pd.Series[Any]":
    """1 where a value equals `positive`, 0 where it is the other one, missing where it is missing."""
    classes = sorted(map(str, values.dropna().unique()))
    event = values == positive
    if len(classes) != 2:
        found = f"{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}"
        raise OntimeError(f"target {values.name}: has {len(classes)} values ({found}); it must have two")
    if not event.any():
        raise OntimeError(
            f"params.yaml: data.options.positive: no {positive!r} in {values.name}; found {', '.join(classes)}"
        )
    labels: pd.Series[Any] = event.astype("Int8").mask(values.isna())
    return labels
