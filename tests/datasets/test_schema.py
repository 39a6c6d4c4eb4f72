"""Schema files: what they may say, and where a mistake in one is."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.params import check
from ontime.datasets.schema import TableSchema, load_schemas


def test_a_folder_of_files_becomes_schemas_by_table(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("fields: [{name: x, type: integer}]\nprimaryKey: [x]\n")
    (tmp_path / "a.yaml").write_text("fields: [{name: y, type: string, constraints: {enum: [p, q], required: true}}]\n")
    (tmp_path / "notes.txt").write_text("not a schema")
    # what a Mac's archive leaves beside a file
    (tmp_path / "._a.yaml").write_bytes(b"\x00\x05\x16\x07")
    schemas = load_schemas(tmp_path)
    assert list(schemas) == ["a", "b"]
    assert schemas["b"].primaryKey == ["x"]
    assert schemas["a"].primaryKey == []
    assert schemas["a"].fields[0].constraints.enum == ["p", "q"]
    assert not schemas["b"].fields[0].constraints.required


def test_columns_are_found_by_their_types_in_order() -> None:
    types = {"a": "integer", "b": "string", "c": "number", "d": "integer"}
    schema = check(TableSchema, {"fields": [{"name": name, "type": kind} for name, kind in types.items()]}, "here")
    assert schema.of_type("integer", "number") == ["a", "c", "d"]
    assert schema.of_type("datetime") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fields: [", "not YAML"),
        ("", "valid dictionary"),
        ("fields: []\n", "fields: list should have at least 1 item"),
        ("fields: [{name: x}]\n", "fields.0.type: missing"),
        ("fields: [{name: x, type: text}]\n", "fields.0.type: input should be 'integer', 'number'"),
        ("fields: [{name: x, type: string, title: X}]\n", "fields.0.title: unknown key; "),
        ("fields: [{name: x, type: string, constraint: {}}]\n", "fields.0.constraint: unknown key; did you mean cons"),
        (
            "fields: [{name: x, type: number, constraints: {minimun: 1}}]\n",
            "fields.0.constraints.minimun: unknown key; did you mean minimum?",
        ),
        ("fields: [{name: x, type: string, format: '%Y'}]\n", "fields.0: format: only a datetime has one"),
        ("fields: [{name: x, type: number, text: true}]\n", "fields.0: text: only a string is one"),
        ("fields: [{name: x, type: number}]\nprimarykey: [x]\n", "primarykey: unknown key; did you mean primaryKey?"),
    ],
)
def test_a_mistake_is_one_line_with_its_file_and_place(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(OntimeError) as error:
        load_schemas(tmp_path)
    assert str(error.value).startswith(f"{path}: {reason}" if text else f"{path}: input should be a {reason}")
    assert "\n" not in str(error.value)


def test_a_folder_without_schemas_says_how_to_write_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(OntimeError, match="no schema file; write one with `ontime init`"):
            load_schemas(folder)
