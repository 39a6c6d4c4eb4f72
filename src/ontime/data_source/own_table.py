"""A table of one's own as `ontime init` reads it: its schema, the frame that this makes of it, and what was decided.

The frame is read by the schema that is written, so that the graph reads the same.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd
from ruamel.yaml.error import YAMLError

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.params import check
from ontime.data_processing.validate import violations
from ontime.datasets.content import digest_of, fetch, files_of, without_secrets
from ontime.datasets.csv_form import CsvForm
from ontime.datasets.inference import infer
from ontime.datasets.reader import Columns, read_columns, read_folder, typed_frame
from ontime.datasets.schema import Column, FieldType, TableSchema
from ontime.datasets.table import PARTITIONED_TABLE
from ontime.repository.yaml_files import plain, yaml_for_people

TEXT = "text"
"""What `--type` calls a string of many words."""
TYPES = (*get_args(FieldType), TEXT)
SCHEMA_FILE = paths.SCHEMA / f"{PARTITIONED_TABLE}.yaml"


@dataclass(frozen=True)
class Reading:
    """Options of `ontime init` about reading: COLUMN=TYPE, missing words, NAME=VALUE of `data.options.csv`, columns
    that are no features or hold data of persons, and the sheet of an Excel file."""

    types: Sequence[str] = ()
    missing: Sequence[str] = ()
    signs: Sequence[str] = ()
    exclude: Sequence[str] = ()
    personal: Sequence[str] = ()
    sheet: str | None = None


@dataclass(frozen=True)
class OwnTable:
    """The typed frame, the file's bytes (of a folder, none), the options by which the same is read again, the plain
    schema, and lines on what was decided."""

    frame: pd.DataFrame
    stored: bytes
    options: dict[str, Any]
    schema: dict[str, Any]
    told: list[str]


def read_own_table(source: str, roles: Sequence[str], key: Sequence[str], reading: Reading) -> OwnTable:
    """Read a file or a folder, and infer the schema that reads it.

    Args:
        roles: columns that must be there; key: those whose values together name a row.

    Raises:
        OntimeError: not readable, a column that is not there, or one whose type a person has to say.
    """
    where = without_secrets(source)
    stored, columns, options = _read(source, reading)
    present = [*columns.found, *columns.nested]
    types = _types(reading.types)
    for name in [*roles, *reading.exclude, *reading.personal, *types]:
        if name not in present:
            raise OntimeError(f"{where}: no column {name}; it has {', '.join(present)}")
    for name, kind in columns.nested.items():
        if name not in reading.exclude:
            raise OntimeError(
                f"{where}: {name}: {kind} is not a type that a table may have; leave it out with --exclude {name}"
            )
    earlier = _schema_before()
    before = {field["name"]: field for field in earlier["fields"]}
    # the schema of the same table has what a person edited
    kept = before if set(before) == set(columns.found) else {}
    marked = {name for name, field in before.items() if field.get("personal")}
    missing = list(reading.missing or (earlier.get("missingValues", []) if kept else []))
    found = infer(columns.found, columns.form, {**kept, **types}, missing, {*reading.personal, *marked}, columns.mixed)
    if found.problems:
        raise OntimeError("\nerror: ".join(f"{where}: {problem}" for problem in found.problems))
    schema: dict[str, Any] = {"fields": found.fields}
    if missing:
        schema["missingValues"] = missing
    if key:
        schema["primaryKey"] = list(key)
    checked = check(TableSchema, plain(schema), str(SCHEMA_FILE))
    frame = typed_frame(columns, checked, where, reading.exclude)
    if problems := violations({where: frame}, checked):
        raise OntimeError("\nerror: ".join(f"{SCHEMA_FILE}: {problem}" for problem in problems))
    notes = [
        *columns.notes,
        *(f"left out: {name}, of type {kind}" for name, kind in columns.nested.items()),
        *found.notes,
    ]
    told = [*_told(where, columns, checked, frame), *notes]
    if kept:
        told.append(
            f"kept: the types and rules in {SCHEMA_FILE}, which has the same columns; remove that file to infer them"
        )
    return OwnTable(frame, stored, options, schema, told)


def _read(source: str, reading: Reading) -> tuple[bytes, Columns, dict[str, Any]]:
    """A file's bytes, its columns, and the options by which the same is read again."""
    form = _signs(reading.signs)
    options: dict[str, Any] = {}
    if files := files_of(source):
        stored, digest, columns = b"", digest_of(source), read_folder(files, form)
        options["folder"] = True
    else:
        content = fetch(source)
        stored, digest = content.stored, content.digest
        columns = read_columns(content, without_secrets(source), form, reading.sheet)
    if columns.form:
        options["csv"] = columns.form.model_dump()
    if reading.sheet:
        options["sheet"] = reading.sheet
    return stored, columns, options | {"sha256": digest}


def _told(where: str, columns: Columns, schema: TableSchema, frame: pd.DataFrame) -> list[str]:
    """What the file is, the columns by type, and how many values are missing."""
    form = f"; {', '.join(f'{name} {sign!r}' for name, sign in columns.form)}" if columns.form else ""
    by_type = defaultdict(list)
    for column in schema.fields:
        by_type[TEXT if column.text else column.type].append(column.name)
    absent = [f"{name} {count}" for name, count in frame.isna().sum().items() if count]
    return [
        f"read {where}: {len(frame)} rows{form}",
        *(f"{kind}: {', '.join(names)}" for kind, names in by_type.items()),
        *([f"missing values: {', '.join(absent)}"] * bool(absent)),
    ]


def _schema_before() -> Any:
    """Content of the present schema, with its comments; empty where there is none."""
    try:
        content = yaml_for_people().load(SCHEMA_FILE)
    except FileNotFoundError:
        return {"fields": []}
    except YAMLError as error:
        raise OntimeError(f"{SCHEMA_FILE}: not YAML: {' '.join(str(error).split())}") from None
    check(TableSchema, plain(content), str(SCHEMA_FILE))
    return content


def _types(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Fields from COLUMN=TYPE, COLUMN=text or COLUMN=datetime:FORMAT."""
    fields = {}
    for text in given:
        found = re.fullmatch(rf"(.+)=({'|'.join(TYPES)})(?::(.+))?", text, re.DOTALL)
        if not found:
            raise OntimeError(f"--type {text}: expected COLUMN=TYPE, of {', '.join(TYPES)}")
        name, kind, date_format = found.groups()
        field = {"name": name} | ({"type": "string", "text": True} if kind == TEXT else {"type": kind})
        field |= {"format": date_format} if date_format else {}
        check(Column, field, f"--type {text}")
        fields[name] = field
    return fields


def _signs(given: Sequence[str]) -> dict[str, Any]:
    """Parts of `data.options.csv` from NAME=VALUE."""
    parts: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        parts[name] = "\t" if value == r"\t" else value
    check(CsvForm, parts, "--csv")
    return parts
