"""Frictionless Table Schema (https://specs.frictionlessdata.io/table-schema/): one YAML file per raw table.

A file is named after its table. `validate` enforces it; for a fork's own table `ontime init` infers it, a person edits
it, and the table is read by it. Field types: integer, number, string, boolean, datetime; `format`, of a datetime, the
directives of `strptime`, such as %m/%d/%Y (default: ISO 8601); `missingValues`, of the table or of a column, the texts
that stand for no value, beside an empty cell; constraints: required, unique, minimum, maximum, enum, pattern. Beside
the standard, `personal: true` marks a column whose values are of a person: it is no feature, and no report shows a
value of it; `text: true` marks a string of many words, such as a review: the model learns from its words, where any
other string is one of a list of categories.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
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
    format: str | None = None
    missingValues: list[str] | None = None  # noqa: N815 - the standard's spelling
    constraints: Constraints = Constraints()
    personal: bool = False
    text: bool = False

    @model_validator(mode="after")
    def _of_its_type(self) -> "Column":
        if self.format is not None and self.type != "datetime":
            raise ValueError("format: only a datetime has one")
        if self.text and self.type != "string":
            raise ValueError("text: only a string is one")
        return self


class TableSchema(Section):
    """One table: its columns in any order, and the columns whose values together are unique."""

    fields: Annotated[list[Column], Field(min_length=1)]
    missingValues: list[str] = Field(default_factory=list)  # noqa: N815 - the standard's spelling
    primaryKey: list[str] = Field(default_factory=list)  # noqa: N815 - the standard's spelling

    def missing_in(self, column: Column) -> list[str]:
        """Texts that stand for no value in a column."""
        return self.missingValues if column.missingValues is None else column.missingValues

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
