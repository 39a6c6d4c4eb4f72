"""A fork's own table: one CSV or parquet file with a target column of two values.

In: the file that `data.source` names (a path, or an s3://, gs://, abfs:// or https:// address, read through
fsspec) and the schema that `ontime init` wrote. Out: its rows with the target as 0 or 1; numbers and booleans
are number features, texts are categories, times other than the one to split by become days since 1970. A column that
the schema marks personal is left out, unless `data.options.allow_personal` names it.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import pandas as pd
from pydantic import Field

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import read_parquet
from ontime.common.layout import TARGET, Layout
from ontime.common.params import Section
from ontime.datasets.schema import TableSchema

PARTITIONED_TABLE = "table"
ROW = "row"
NANOSECONDS_PER_DAY = 86_400_000_000_000


class Options(Section):
    """What the columns mean.

    `target` is the column to predict and `positive` its value that counts as the event; `time` is the column to
    split by; `key` the columns that name a row (none: its number in the file); `exclude` columns that are no
    features; `allow_personal` columns marked personal in the schema that may be used all the same. `sha256` pins the
    file's content.
    """

    target: str
    positive: str | int | float | bool
    time: str | None = None
    key: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    allow_personal: list[str] = Field(default_factory=list)
    sha256: str | None = None


def read_source(
    source: str,
    where: str = "data.source",
    kinds: str = "neither a known package nor a .csv, .csv.gz or .parquet file",
    texts: Sequence[str] = (),
) -> tuple[pd.DataFrame, str]:
    """The table that `source` names, and the SHA-256 of its bytes.

    Args:
        where: what named it, for errors; kinds: what a name of another ending is not.
        texts: columns of a CSV file that are text although they look like numbers.

    Raises:
        OntimeError: neither CSV nor parquet by its name, not found, not reachable, not readable, empty.
    """
    name = PurePosixPath(source.split("?")[0]).name
    if not name.endswith((".csv", ".csv.gz", ".parquet")):
        raise OntimeError(f"{where}: {source}: {kinds}")
    try:
        with fsspec.open(source, "rb") as stream:
            content = stream.read()
    except FileNotFoundError as error:
        if error.__cause__ is None:
            raise OntimeError(f"{where}: {source}: not found") from None
        # fsspec says the same where a web server refuses or does not answer
        raise OntimeError(f"{where}: {source}: cannot be read: {one_line(error.__cause__, 200)}") from None
    except ImportError as error:
        raise OntimeError(f"{where}: {source}: {error}") from None
    except Exception as error:  # each store raises its own classes; the person needs the reason in one line
        raise OntimeError(f"{where}: {source}: cannot be read: {one_line(error, 200)}") from None
    try:
        if name.endswith(".parquet"):
            frame = pd.read_parquet(io.BytesIO(content))
        else:
            text = gzip.decompress(content) if name.endswith(".gz") else content
            frame = pd.read_csv(io.BytesIO(text), low_memory=False, dtype=dict.fromkeys(texts, "str"))
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise OntimeError(f"{where}: {source}: not readable: {one_line(error, 200)}") from None
    if frame.empty:
        raise OntimeError(f"{where}: {source}: the table has no rows")
    return frame.rename(columns=str), hashlib.sha256(content).hexdigest()


def read_tables(
    source: str, options: Options, schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the one table, with columns that the schema calls datetime parsed where they can be."""
    frame, digest = read_source(source)
    if options.sha256 and digest != options.sha256:
        raise OntimeError(
            f"data.source: {source}: not the content that data.options.sha256 pins: "
            f"restore the file, or take the new content by setting it to {digest}"
        )
    if PARTITIONED_TABLE not in schemas:
        raise OntimeError(f"data/schema/{PARTITIONED_TABLE}.yaml: not found; write it with `ontime init`")
    for name in schemas[PARTITIONED_TABLE].of_type("datetime"):
        if name in frame:
            frame[name] = parse_times(frame[name])
    yield PARTITIONED_TABLE, PARTITIONED_TABLE, frame


def parse_times(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Times as UTC to the microsecond; values that are none leave the column as it was, for `validate` to name."""
    try:
        return pd.to_datetime(values, utc=True, format=None if _is_time(values) else "ISO8601").dt.as_unit("us")
    except (ValueError, TypeError):
        return values


def _is_time(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def layout(options: Options, schemas: Mapping[str, TableSchema]) -> Layout:
    """Roles of the columns: by the schema's types, less target, key, time and excluded ones."""
    schema = schemas[PARTITIONED_TABLE]
    known = [column.name for column in schema.fields]
    for role, names in {
        "target": [options.target],
        "time": [options.time] if options.time else [],
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
    for role, column in [("target", options.target), ("time", options.time), *(("key", name) for name in options.key)]:
        if column in kept_out:
            raise OntimeError(
                f"params.yaml: data.options.{role}: {column} is marked personal in data/schema/table.yaml, and it "
                "would be in features and logs; use another column, or name it in data.options.allow_personal"
            )
    roles = {options.target, options.time, *options.key, *options.exclude, *kept_out}
    numbers = [name for name in schema.of_type("integer", "number", "boolean", "datetime") if name not in roles]
    categories = [name for name in schema.of_type("string") if name not in roles]
    if not numbers and not categories:
        raise OntimeError("data/schema/table.yaml: no column is left as a feature")
    return Layout(key=options.key or [ROW], time=options.time, numbers=numbers, categories=categories)


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
    frame = _keys(rows, layout)
    if layout.time:
        frame[layout.time] = rows[layout.time]
    for name in layout.numbers:
        values = rows[name]
        if _is_time(values):
            values = values.astype("int64").where(values.notna()) / (NANOSECONDS_PER_DAY // 1000)
        frame[name] = values.astype("float64").astype(np.float32)
    for name in layout.categories:
        frame[name] = rows[name].astype("str").mask(rows[name].isna())
    frame[TARGET] = binary_target(rows[options.target], options.positive)
    return frame[layout.columns]


def files(raw: Path, partition: str) -> list[Path]:
    """The raw files that `features` reads for one partition."""
    return [raw / PARTITIONED_TABLE / f"{partition}.parquet"]


def labels(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """Key and `target`, 0, 1 or missing, of each row of the raw table; it does not say since when that is known.

    Raises:
        OntimeError: the target has no row of either class.
    """
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    return _keys(rows, layout).assign(**{TARGET: binary_target(rows[options.target], options.positive)})


def _keys(rows: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    return pd.DataFrame({ROW: np.arange(len(rows))}) if layout.key == [ROW] else rows[layout.key].copy()


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
