"""A fork's own table, of which an event, a class or a number is asked: a file, a query, or a folder of partitions.

In: what `data.source` names (a path, or an s3://, gs://, abfs:// or https:// address of a file, read through
fsspec) and the schema that `ontime init` wrote and a person edits, by which it is read. Out: its rows with the target
as 0 or 1, as the number of a class, or as a number; numbers and booleans are number features, strings are categories,
or texts if the schema marks them so, times other than the one to split by become days since 1970. A column that the
schema marks personal is left out, unless `data.options.allow_personal` names it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet
from ontime.common.layout import Layout, own
from ontime.common.params import Section
from ontime.datasets.content import digest_of, fetch, files_of, partition_of, without_secrets
from ontime.datasets.csv_form import CsvForm
from ontime.datasets.reader import read_columns, typed_frame
from ontime.datasets.schema import TableSchema

PARTITIONED_TABLE = "table"
FILE, ROW = "file", "row"
MICROSECONDS_PER_DAY = 86_400_000_000


class Options(Section):
    """What the columns mean.

    `target` is the column to predict and `positive` its value that counts as the event; `classes` are all its values in
    their order, if they are more than two; neither if the target is a number;
    `time` is the column to split by; `group` the column whose values must not be on two sides of the split; `weight`
    the column of what each row counts; `key` the columns that name a row (none: its number in the file); `exclude`
    columns that are no features; `allow_personal` columns marked personal in the schema that may be used all the same.
    `csv` says how a CSV file is written, `sheet` which one of an Excel file is read; `folder` is true where each file
    of a folder is a partition, and a row is named by its file, too. `sha256` pins the content, or a query's result.
    """

    target: str
    positive: str | int | float | bool | None = None
    classes: list[str | int | float] | None = None
    time: str | None = None
    group: str | None = None
    weight: str | None = None
    key: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    allow_personal: list[str] = Field(default_factory=list)
    csv: CsvForm | None = None
    sheet: str | None = None
    folder: bool = False
    sha256: str | None = None


def read_tables(
    source: str, options: Options, schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the one table, its columns as the schema types them.

    Raises:
        OntimeError: not the pinned content, not readable, or values that are not of their column's type.
    """
    files = files_of(source)
    if options.folder and not files:
        raise OntimeError(f"data.source: {without_secrets(source)}: not a folder, as data.options.folder says")
    if PARTITIONED_TABLE not in schemas:
        raise OntimeError(f"data/schema/{PARTITIONED_TABLE}.yaml: not found; write it with `ontime init`")
    whole = None if files else fetch(source)
    digest = whole.digest if whole else digest_of(source)
    if options.sha256 and digest != options.sha256:
        kept = "give the query an ORDER BY" if source.endswith(".sql") else "restore the file"
        raise OntimeError(
            f"data.source: {without_secrets(source)}: not the content that data.options.sha256 pins: "
            f"{kept}, or take the new content with `ontime refresh`"
        )
    classes: set[Any] = set()
    for partition, place in [(partition_of(path), str(path)) for path in files] or [(PARTITIONED_TABLE, source)]:
        shown = f"data.source: {without_secrets(place)}"
        columns = read_columns(whole or fetch(place), shown, options.csv, options.sheet)
        frame = typed_frame(columns, schemas[PARTITIONED_TABLE], shown, options.exclude)
        if options.folder and options.positive is not None and options.target in frame:
            classes |= set(frame[options.target].dropna().unique())
            if len(classes) > 2:
                found = ", ".join(sorted(map(str, classes)))
                raise OntimeError(f"{shown}: target {options.target}: has a third value ({found}); it must have two")
        yield PARTITIONED_TABLE, partition, frame


def new_tables(
    source: Path, options: Options, schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the one table of another file, which is read as `data.source` is.

    Raises:
        OntimeError: not readable, or values that are not of their column's type.
    """
    columns = read_columns(fetch(str(source), "INPUT"), str(source), options.csv, options.sheet)
    yield (
        PARTITIONED_TABLE,
        PARTITIONED_TABLE,
        typed_frame(columns, schemas[PARTITIONED_TABLE], str(source), options.exclude),
    )


def layout(options: Options, schemas: Mapping[str, TableSchema]) -> Layout:
    """Roles of the columns: by the schema's types, less target, key, time and excluded ones."""
    schema = schemas[PARTITIONED_TABLE]
    known = [column.name for column in schema.fields]
    for role, names in {
        "target": [options.target],
        "time": [options.time] if options.time else [],
        "group": [options.group] if options.group else [],
        "weight": [options.weight] if options.weight else [],
        "key": options.key,
        "exclude": options.exclude,
        "allow_personal": options.allow_personal,
    }.items():
        for name in names:
            if name not in known:
                raise OntimeError(f"params.yaml: data.options.{role}: no column {name} in data/schema/table.yaml")
    if options.time and options.time not in schema.of_type("datetime"):
        raise OntimeError(f"params.yaml: data.options.time: {options.time} is not a datetime in data/schema/table.yaml")
    if options.weight:
        _check_weight(options, schema)
    kept_out = set(schema.personal) - set(options.allow_personal)
    once = [(role, getattr(options, role)) for role in ("target", "time", "group", "weight")]
    for role, column in [*once, *(("key", name) for name in options.key)]:
        if column in kept_out:
            raise OntimeError(
                f"params.yaml: data.options.{role}: {column} is marked personal in data/schema/table.yaml, and it "
                "would be in features and logs; use another column, or name it in data.options.allow_personal"
            )
    roles = {options.target, options.time, options.group, options.weight, *options.key, *options.exclude, *kept_out}
    numbers = [name for name in schema.of_type("integer", "number", "boolean", "datetime") if name not in roles]
    strings = [column for column in schema.fields if column.type == "string" and column.name not in roles]
    if not numbers and not strings:
        raise OntimeError("data/schema/table.yaml: no column is left as a feature")
    key = [own(word, known) for word in (FILE, ROW) if word == ROW or options.folder]
    return Layout(
        key=options.key or key,
        time=options.time,
        numbers=numbers,
        categories=[column.name for column in strings if not column.text],
        group=options.group,
        classes=tuple(class_name(value) for value in options.classes or ()),
        texts=tuple(column.name for column in strings if column.text),
        weight=options.weight,
    )


def _check_weight(options: Options, schema: TableSchema) -> None:
    """Refuse a column of weights that is not of numbers, or has another role."""
    name, where = options.weight, "params.yaml: data.options.weight"
    if name not in schema.of_type("integer", "number"):
        raise OntimeError(f"{where}: {name} is not a number in data/schema/table.yaml")
    roles = [(role, getattr(options, role)) for role in ("target", "time", "group")]
    for role, column in [*roles, *(("key", column) for column in options.key)]:
        if column == name:
            raise OntimeError(f"{where}: {name} is data.options.{role} as well; give the weight a column of its own")


def says(options: Options) -> str:
    """What a model of these rows says, as a dependent clause."""
    return (
        f"what {options.target} is" if options.positive is None else f"whether {options.target} is {options.positive}"
    )


def asked_minutes_before(options: Options) -> int:
    """A row is asked about at its time."""
    del options
    return 0


def features(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """The rows of the raw table in its own order, with the columns of `layout`.

    Raises:
        OntimeError: the target has not the two classes, or not numbers.
    """
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    frame = _inputs(rows, partition, options, layout)
    frame[layout.target] = _target(rows, options)
    if layout.weight:
        frame[layout.weight] = rows[layout.weight].astype("float64")
    return frame[layout.columns]


def inputs(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """What `features` gives, without the target and any weight, which the raw table may lack."""
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    kept = [name for name in layout.columns if name not in (layout.target, layout.weight)]
    return _inputs(rows, partition, options, layout)[kept]


def _inputs(rows: pd.DataFrame, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    frame = _keys(rows, partition, options, layout)
    for name in (layout.time, layout.group):
        if name:
            frame[name] = rows[name]
    for name in layout.numbers:
        frame[name] = feature_numbers(rows[name])
    for name in (*layout.categories, *layout.texts):
        frame[name] = rows[name].astype("str").mask(rows[name].isna())
    return frame


def files(raw: Path, partition: str) -> list[Path]:
    """The raw files that `features` reads for one partition."""
    return [raw / PARTITIONED_TABLE / f"{partition}.parquet"]


def feature_numbers(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column as a number feature of 32 bits; a time as days since 1970."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.astype("int64").where(values.notna()) / MICROSECONDS_PER_DAY
    return values.astype("float64").astype(np.float32)


def labels(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """Key and `target`, or missing, of each row of the raw table; it does not say since when a target is known.

    Raises:
        OntimeError: the target has not the two classes, or not numbers.
    """
    rows = read_parquet(raw / PARTITIONED_TABLE / f"{partition}.parquet")
    return _keys(rows, partition, options, layout).assign(**{layout.target: _target(rows, options)})


def _keys(rows: pd.DataFrame, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    if options.key:
        return rows[layout.key].copy()
    numbers = pd.DataFrame({layout.key[-1]: np.arange(len(rows))})
    if options.folder:
        numbers.insert(0, layout.key[0], partition)
    return numbers


def _target(rows: pd.DataFrame, options: Options) -> "pd.Series[Any]":
    """The labels of a partition; one of a folder may have one class, or none, and `read_tables` has seen all."""
    values = rows[options.target]
    if not options.folder or options.positive is None:
        return target_values(values, options.positive, options.classes)
    labels: pd.Series[Any] = (values == options.positive).astype("Int8").mask(values.isna())
    return labels


def target_values(values: "pd.Series[Any]", positive: Any, classes: Sequence[Any] | None = None) -> "pd.Series[Any]":
    """A target as 1 where it equals `positive` and 0 elsewhere, as the number of its class, or without both as numbers.

    It is missing where the value is.

    Raises:
        OntimeError: it has not the two classes, a class that is not listed, or not numbers.
    """
    if classes:
        return class_target(values, classes)
    return number_target(values) if positive is None else binary_target(values, positive)


def class_name(value: Any) -> str:
    """How a class is called; one that is a whole number, without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def class_target(values: "pd.Series[Any]", classes: Sequence[Any]) -> "pd.Series[Any]":
    """The place of each value among the classes as Int8, missing where it is missing."""
    places = {value: place for place, value in enumerate(classes)}
    found = values.map(places, na_action="ignore")
    other = values[found.isna() & values.notna()]
    if len(other):
        raise OntimeError(
            f"target {values.name}: has a class that data.options.classes lacks ({class_name(other.iloc[0])!r:.40}); "
            "take it with `ontime init`"
        )
    labels: pd.Series[Any] = found.astype("Int8")
    return labels


def number_target(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The numbers of a target as float64."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise OntimeError(
            f"target {values.name}: has values that are not numbers; set data.options.positive to the event's value"
        )
    return values.astype("float64")


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
