"""From a file's bytes to a typed frame: the one way in which a table of one's own is read.

The columns are found as the file has them (`read_columns`) and become a frame by the schema alone (`typed_frame`). The
schema is what a person edits: a column of codes that it calls a string keeps its zeros, a date has the format that it
names. Every value is in the frame, or missing because the schema says so, or named in an error.
"""

import io
import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.content import Content, fetch, without_secrets
from ontime.datasets.csv_form import CsvForm, decoded, find_encoding, find_separators, read_cells
from ontime.datasets.inference import find_signs, infer
from ontime.datasets.schema import Column, TableSchema
from ontime.datasets.values import Array, UnfitError, as_pandas, natural, typed

HIDDEN = "(personal)"
"""Shown in place of a value of a personal column."""
LARGEST_FEATURE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """The columns of a file in natural types; `form` of a text file; `nested` has the types of columns that no table
    has, by name; `notes` what was left out."""

    found: dict[str, Array]
    form: CsvForm | None = None
    nested: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_columns(content: Content, where: str, form: Mapping[str, Any] | CsvForm | None = None) -> Columns:
    """The columns of a file.

    Args:
        where: what the file is called in errors.
        form: of a text file; parts of it that are not given are found from the content.

    Raises:
        OntimeError: not readable, no rows, a name twice, or a row with more or fewer values than there are names.
    """
    try:
        if content.kind == ".parquet":
            return _parquet(content.data)
        return _csv(content.data, form if isinstance(form, CsvForm) else dict(form or {}))
    except OntimeError as error:
        raise OntimeError(f"{where}: {error}") from None


def _parquet(data: bytes) -> Columns:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (ValueError, OSError) as error:
        raise OntimeError(f"not readable: {one_line(error, 200)}") from None
    if not table.num_rows:
        raise OntimeError("the table has no rows")
    names = list(table.column_names)
    _check_names(names)
    # pandas writes an index without a name as a column with this one
    unnamed = [name for name in _index_columns(table) if name.startswith("__index_level_")]
    columns: dict[str, Array] = {}
    nested: dict[str, str] = {}
    for name, values in zip(names, table.columns, strict=True):
        if name in unnamed:
            continue
        try:
            kind = natural(values)
        except pa.ArrowInvalid as error:
            raise OntimeError(f"{name}: not readable: {one_line(error, 200)}") from None
        if kind is None:
            nested[name] = str(values.type)
        else:
            columns[name] = kind
    return Columns(columns, nested=nested, notes=["left out: the index, which has no name"] * bool(unnamed))


def _index_columns(table: pa.Table) -> list[str]:
    metadata = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    return [name for name in metadata.get("index_columns", []) if isinstance(name, str)]


def _csv(data: bytes, form: dict[str, Any] | CsvForm) -> Columns:
    given = form.model_dump() if isinstance(form, CsvForm) else form
    encoding = given.get("encoding") or find_encoding(data)
    text = decoded(data, encoding)
    if not {"delimiter", "quote"} <= set(given):
        delimiter, quote = find_separators(text.decode(errors="replace"))
        given = {"delimiter": delimiter, "quote": quote, **given}
    names, table = read_cells(text, CsvForm(**{**given, "encoding": encoding, "decimal": ".", "thousands": None}))
    _check_names([name for name in names if name])
    # Arrow's type of texts has no chunk limit
    cells = {name: values for name, values in zip(names, table.columns, strict=True) if name}
    if not {"decimal", "thousands"} & set(given):
        try:
            given = given | find_signs(list(cells.values()), given["delimiter"])
        except ValueError as error:
            raise OntimeError(str(error)) from None
    unnamed = len(names) - len(cells)
    notes = [f"left out: {unnamed} column{'s' * (unnamed > 1)} without a name"] * bool(unnamed)
    return Columns(cells, CsvForm(**{**given, "encoding": encoding}), notes=notes)


def _check_names(names: list[str]) -> None:
    for name in names:
        # YAML, in which a schema names its columns, keeps no others
        if any(unicodedata.category(sign) == "Cc" and sign not in "\t\r\n" for sign in name):
            raise OntimeError(f"column {name!r} has a control character in its name; rename it")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OntimeError(f"column {', '.join(twice[:5])} is there twice; give each column a name of its own")


def typed_frame(columns: Columns, schema: TableSchema, where: str, skipped: Collection[str] = ()) -> pd.DataFrame:
    """The columns of a file as the schema types them, in the file's order; one that it lacks is as the file has it.

    Args:
        skipped: columns that are no features, whose numbers may be of any size.

    Raises:
        OntimeError: values that do not fit; a line for each column.
    """
    by_name = {column.name: column for column in schema.fields}
    frame, problems = {}, []
    for name, values in columns.found.items():
        column = by_name.get(name)
        try:
            if column:
                missing = schema.missing_in(column)
                values = typed(values, column.type, column.format, missing, columns.form or CsvForm())
            frame[name] = as_pandas(values)
            if name not in skipped and pd.api.types.is_float_dtype(frame[name]):
                _check_size(frame[name])
        except UnfitError as error:
            problems.append(f"{where}: {name}: {_unfit(values, error, column)}")
    for name, kind in columns.nested.items():
        if name in by_name:
            problems.append(f"{where}: {name}: {kind} is no type of a table; remove it from data/schema")
    if problems:
        raise OntimeError("\nerror: ".join(problems))
    return pd.DataFrame(frame)


def _check_size(values: "pd.Series[Any]") -> None:
    large = (values.abs() > LARGEST_FEATURE).to_numpy()
    if large.any():
        raise UnfitError(np.flatnonzero(large))


def _unfit(values: Array, error: UnfitError, column: Column | None) -> str:
    first = int(error.rows[0])
    value = HIDDEN if column and column.personal else f"{values[first].as_py()!r:.60}"
    kind = column.type if column else "number"
    wanted = f"datetime of the form {column.format}" if column and column.format else kind
    size = f"; a number of a feature is at most {LARGEST_FEATURE:.2g}" if pa.types.is_floating(values.type) else ""
    count = f"{len(error.rows)} of {len(values)} values"
    return f"type {wanted}: {count} do not fit, for example {value} in row {first + 1}{size}"


def read_untyped(source: str, where: str, kinds: str, texts: Collection[str] = ()) -> pd.DataFrame:
    """A table without a schema, with the types that its values have.

    Args:
        where: what named it, for errors; kinds: what a name of another ending is not.
        texts: columns of a text file that are text although they look like numbers.

    Raises:
        OntimeError: it cannot be read.
    """
    columns = read_columns(fetch(source, where, kinds), f"{where}: {without_secrets(source)}")
    fields = infer(columns.found, columns.form).fields
    for content in fields:
        if columns.form and content["name"] in texts:
            content |= {"type": "string", "format": None, "missingValues": []}
    schema = TableSchema.model_validate({"fields": fields})
    return typed_frame(columns, schema, where, skipped=columns.found)
