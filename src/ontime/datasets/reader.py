"""From a file's bytes to a typed frame: the one way in which a table of one's own is read.

The columns are found as the file has them (`read_columns`) and become a frame by the schema alone (`typed_frame`). The
schema is what a person edits: a column of codes that it calls a string keeps its zeros, a date has the format that it
names. Every value is in the frame, or missing because the schema says so, or named in an error.
"""

import io
import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.content import Content, fetch, without_secrets
from ontime.datasets.csv_form import CsvForm, decoded, find_encoding, find_separators, read_cells
from ontime.datasets.inference import find_signs, infer
from ontime.datasets.json_lines import read_json_lines
from ontime.datasets.rows import Rows
from ontime.datasets.schema import Column, TableSchema
from ontime.datasets.values import LARGEST_EXACT, NATURAL, Array, UnfitError, as_pandas, natural, typed
from ontime.datasets.workbook import read_workbook

HIDDEN = "(personal)"
"""Shown in place of a value of a personal column."""
LARGEST_FEATURE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """The columns of a file in natural types; `form` of a CSV file; `nested` has the types of columns that no table
    has, by name; `mixed` names columns with values of several types, read as texts; `notes` say what was left out."""

    found: dict[str, Array]
    form: CsvForm | None = None
    nested: dict[str, str] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_columns(
    content: Content, where: str, form: Mapping[str, Any] | CsvForm | None = None, sheet: str | None = None
) -> Columns:
    """The columns of a file.

    Args:
        where: what the file is called in errors.
        form: of a CSV file; parts of it that are not given are found from the content.
        sheet: of an Excel file; None for the only one.

    Raises:
        OntimeError: not readable, no rows, a name twice, or a row with more or fewer values than there are names.
    """
    try:
        if content.kind == ".parquet":
            return _parquet(content.data)
        if content.kind == ".xlsx":
            return _workbook(content.data, sheet)
        if content.kind in (".jsonl", ".ndjson"):
            return _of_rows(read_json_lines(content.data))
        if content.rows:
            return _of_rows(content.rows)
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


def _of_rows(rows: Rows) -> Columns:
    if not rows.count:
        raise OntimeError("the table has no rows")
    columns = rows.columns()
    _check_names([*columns, *rows.nested])
    found = {name: natural(values) for name, values in columns.items()}
    notes = [f"{name}: has values of several types, read as texts" for name in rows.mixed if name in found]
    return Columns(found, nested=rows.nested, mixed=rows.mixed, notes=notes)


def _workbook(data: bytes, sheet: str | None) -> Columns:
    names, rows = read_workbook(data, sheet)
    _check_names([name for name in names if name])
    columns = _of_rows(rows)
    columns.notes.extend(_unnamed(names.count("")))
    return columns


def _unnamed(count: int) -> list[str]:
    return [f"left out: {count} column{'s' * (count > 1)} without a name"] * bool(count)


def read_folder(files: Sequence[Path], form: Mapping[str, Any] | None = None) -> Columns:
    """The columns of a folder's files, one below the other; how CSV files are written is found from all of them.

    Raises:
        OntimeError: of a file; or files whose columns differ by name or type.
    """
    given = dict(form or {})
    parts: list[Columns] = []
    for path in files:
        # the signs are looked for in all files at once
        columns = read_columns(fetch(str(path)), str(path), {"decimal": ".", **given})
        if columns.form:
            given = {name: sign for name, sign in columns.form if name not in ("decimal", "thousands")} | given
        parts.append(columns)
        _check_same(parts[0], columns, files[0], path)
    found = {name: _joined([part.found[name] for part in parts], name, files) for name in parts[0].found}
    last = parts[-1]
    if last.form:
        try:
            signs = (
                {} if {"decimal", "thousands"} & set(given) else find_signs(list(found.values()), last.form.delimiter)
            )
        except ValueError as error:
            raise OntimeError(f"{files[0].parent}: {error}") from None
        return Columns(found, CsvForm(**{**given, **signs}), notes=parts[0].notes)
    mixed = {name: None for part in parts for name in part.mixed}
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return Columns(found, None, parts[0].nested, list(mixed), list(notes))


def _check_same(first: Columns, other: Columns, first_path: Path, path: Path) -> None:
    names, others = ({*columns.found, *columns.nested} for columns in (first, other))
    for name in sorted(names ^ others):
        has, lacks = (first_path, path) if name in names else (path, first_path)
        raise OntimeError(f"{lacks}: no column {name}, which {has.name} has; all files of a folder have the same ones")


def _joined(parts: Sequence[Array], name: str, files: Sequence[Path]) -> Array:
    """A column of several files: of one type, or of none where all is missing, or whole numbers among others."""
    kinds = {part.type: file for part, file in zip(parts, files, strict=True) if part.null_count < len(part)}
    kind, *others = kinds or [parts[0].type]
    if set(kinds) == {NATURAL["integer"], NATURAL["number"]} and all(_is_exact(part) for part in parts):
        kind, others = NATURAL["number"], []
    if others:
        raise OntimeError(
            f"{files[0].parent}: {name}: {kind} in {kinds[kind].name}, {others[0]} in {kinds[others[0]].name}; "
            "write all in one type"
        )
    return pa.chunked_array([chunk for part in parts for chunk in part.cast(kind).chunks], kind)


def _is_exact(values: Array) -> bool:
    """Whether the values are the same as floats."""
    if not pa.types.is_integer(values.type):
        return True
    ends = pc.min_max(values).as_py()
    return ends["min"] is None or max(abs(ends["min"]), abs(ends["max"])) < LARGEST_EXACT


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
    return Columns(cells, CsvForm(**{**given, "encoding": encoding}), notes=_unnamed(len(names) - len(cells)))


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
    fields = infer(columns.found, columns.form, mixed=columns.mixed).fields
    for content in fields:
        if columns.form and content["name"] in texts:
            content |= {"type": "string", "format": None, "missingValues": []}
    schema = TableSchema.model_validate({"fields": fields})
    return typed_frame(columns, schema, where, skipped=columns.found)
