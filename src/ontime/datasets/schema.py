"""Frictionless Table Schema (https://specs.frictionlessdata.io/table-schema/): one YAML file per raw table.

A file is named after its table. `validate` enforces it; for a fork's own table `ontime init` infers it and
a person edits it. Field types: integer, number, string, boolean, datetime; constraints: required, unique,
minimum, maximum, enum, pattern. Beside the standard, `personal: true` marks a column whose values are of a person: it
is no feature, and no report shows a value of it.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.common.files import listed
from ontime.common.params import Section, check

FieldType = Literal["integer", "number", "string", "boolean", "datetime"]


class Constraints(Section):
    """What a column's values must satisfy."""

    required: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    enum: list[Any] | None = None
    pattern: str | None = None


class Column(Section):
    """One column of a table."""

    name: str
    type: FieldType
    constraints: Constraints = Constraints()
    personal: bool = False


class TableSchema(Section):
    """One table: its columns in any order, and the columns whose values together are unique."""

    fields: Annotated[list[Column], Field(min_length=1)]
    primaryKey: list[str] = Field(default_factory=list)  # noqa: N815 - the standard's spelling

    def of_type(self, *types: FieldType) -> list[str]:
        """Names of the columns that have one of the types."""
        return [column.name for column in self.fields if column.type in types]

    @property
    def personal(self) -> list[str]:
        """Names of the columns that are marked personal."""
        return [column.name for column in self.fields if column.personal]


def load_schemas(folder: Path) -> dict[str, TableSchema]:
    """Read the schema of every table, by table name.

    Raises:
        OntimeError: no file there, not YAML, or a key or value that the standard or this subset of it lacks.
    """
    schemas = {}
    for path in listed(folder, "*.yaml"):
        try:
            content = YAML(typ="safe", pure=True).load(path)
        except YAMLError as error:
            raise OntimeError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
        schemas[path.stem] = check(TableSchema, content, str(path))
    if not schemas:
        raise OntimeError(f"{folder}: no schema file; write one with `ontime init`")
    return schemas


def infer_schema(frame: pd.DataFrame, key: list[str], personal: Collection[str] = ()) -> dict[str, Any]:
    """Plain content of a schema file for a frame: types from the values, `required` where nothing is missing.

    Numbers get no bounds and texts no list of values: what a column may hold is for a person to say. `personal` has the
    columns to mark so.
    """
    fields = []
    for name in frame.columns:
        column: dict[str, Any] = {"name": str(name), "type": _type_of(frame[name])}
        if not frame[name].isna().any():
            column["constraints"] = {"required": True}
        if name in personal:
            column["personal"] = True
        fields.append(column)
    return {"fields": fields, "primaryKey": key} if key else {"fields": fields}


def _type_of(values: "pd.Series[Any]") -> FieldType:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    if pd.api.types.is_numeric_dtype(values):
        known = values.dropna()
        return (
            "integer" if pd.api.types.is_integer_dtype(values) or (len(known) and (known % 1 == 0).all()) else "number"
        )
    known = values.dropna()
    if len(known) and known.isin([True, False]).all():
        return "boolean"
    if len(known) and known.astype(str).str.match(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$").all():
        return "datetime"
    return "string"
