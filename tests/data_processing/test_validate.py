"""Every rule of a schema finds what breaks it: column, rule, count and a sample."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.params import check
from ontime.data_processing.validate import describe, violations
from ontime.datasets.schema import TableSchema


def schema_of(**columns: Any) -> TableSchema:
    """A schema from name = type or (type, constraints)."""
    pairs = {name: kind if isinstance(kind, tuple) else (kind, {}) for name, kind in columns.items()}
    fields = [{"name": name, "type": kind, "constraints": limits} for name, (kind, limits) in pairs.items()]
    return check(TableSchema, {"fields": fields}, "schema")


def keyed(schema: TableSchema, *key: str) -> TableSchema:
    return schema.model_copy(update={"primaryKey": list(key)})


def problems(frame: pd.DataFrame, schema: TableSchema) -> list[str]:
    return violations({"p": frame}, schema)


def test_a_table_that_keeps_every_rule_has_no_violation() -> None:
    schema = schema_of(
        id=("integer", {"required": True, "unique": True}),
        size=("number", {"minimum": 0, "maximum": 5}),
        kind=("string", {"enum": ["a", "b"], "pattern": "^[ab]$"}),
        ok="boolean",
        when="datetime",
    )
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(pd.Series(["2013-01-01", None, "2013-01-02"]), utc=True),
            "ok": pd.Series([True, None, False], dtype=object),
            "kind": ["a", None, "b"],
            "size": [0, 5, np.nan],
            "id": [1, 2, 3],
        }
    )
    assert problems(frame, keyed(schema, "id", "kind")) == []


def test_a_missing_and_an_extra_column_are_named() -> None:
    found = problems(pd.DataFrame({"id": [1], "more": [2]}), schema_of(id="integer", size="number"))
    assert found == ["size: column is missing", "more: column is not in the schema"]


@pytest.mark.parametrize(
    ("kind", "values", "sample"),
    [
        ("integer", [1, 2.5, 3], "2.5"),
        ("integer", ["1", "2"], "'1'"),
        ("integer", [1.0, np.inf], "inf"),
        ("integer", [True, False], "True"),
        ("number", ["1.5", "x"], "'1.5'"),
        ("number", [1.0, np.inf], "inf"),
        ("number", [1.0, -np.inf, np.nan], "-inf"),
        ("string", [1, 2], "1"),
        ("string", pd.Series(["a", 2], dtype=object), "2"),
        ("boolean", ["yes", "no"], "'yes'"),
        ("datetime", ["2013-01-01", "soon"], "'2013-01-01'"),
        ("datetime", [1, 2], "1"),
    ],
)
def test_a_wrong_type_is_named_with_its_count_and_a_sample(kind: str, values: Any, sample: str) -> None:
    (line,) = problems(pd.DataFrame({"x": values}), schema_of(x=kind))
    assert line.startswith(f"x: type {kind}: ")
    assert " rows, for example " in line
    assert sample in line


@pytest.mark.parametrize(
    ("kind", "limits", "values", "line"),
    [
        ("integer", {"minimum": 1}, [0, 1, -5], "x: minimum 1: 2 rows, for example 0 (p), -5 (p)"),
        ("number", {"maximum": 1.5}, [1.5, 1.6, np.nan], "x: maximum 1.5: 1 rows, for example 1.6 (p)"),
        ("string", {"enum": ["a", "b"]}, ["a", "c", None], "x: enum ['a', 'b']: 1 rows, for example c (p)"),
        ("integer", {"enum": [1, 2]}, [1, 3], "x: enum [1, 2]: 1 rows, for example 3 (p)"),
        (
            "string",
            {"pattern": "^[A-Z]{2}$"},
            ["AB", "ABC", "a"],
            "x: pattern ^[A-Z]{2}$: 2 rows, for example ABC (p), a (p)",
        ),
        ("number", {"required": True}, [1.0, np.nan], "x: required: 1 rows, for example nan (p)"),
        ("string", {"required": True}, ["a", None], "x: required: 1 rows, for example nan (p)"),
    ],
)
def test_a_broken_constraint_is_named_with_its_count_and_samples(
    kind: str, limits: dict[str, Any], values: list[Any], line: str
) -> None:
    assert problems(pd.DataFrame({"x": values}), schema_of(x=(kind, limits))) == [line]


def test_at_most_three_samples_are_shown() -> None:
    (line,) = problems(pd.DataFrame({"x": range(10)}), schema_of(x=("integer", {"maximum": -1})))
    assert line == "x: maximum -1: 10 rows, for example 0 (p), 1 (p), 2 (p)"


def test_a_rule_broken_in_several_partitions_is_one_line_with_their_sum() -> None:
    frames = {"2013-01": pd.DataFrame({"x": [0, 9]}), "2013-02": pd.DataFrame({"x": [8, 9]})}
    found = violations(frames, schema_of(x=("integer", {"maximum": 5})))
    assert found == ["x: maximum 5: 3 rows, for example 9 (2013-01), 8 (2013-02), 9 (2013-02)"]


def test_several_broken_rules_are_all_told() -> None:
    frame = pd.DataFrame({"x": [0, 9], "y": ["a", "b"]})
    found = problems(frame, schema_of(x=("integer", {"minimum": 1, "maximum": 5}), y=("string", {"enum": ["a"]})))
    assert [line.split(" rows")[0] for line in found] == ["x: minimum 1: 1", "x: maximum 5: 1", "y: enum ['a']: 1"]


@pytest.mark.parametrize("across", [False, True])
def test_a_duplicated_key_is_found_within_and_across_partitions(across: bool) -> None:
    frames = {
        "2013-01": pd.DataFrame({"a": [1, 1 if not across else 2], "b": ["x", "x"]}),
        "2013-02": pd.DataFrame({"a": [1 if across else 3], "b": ["x"]}),
    }
    found = violations(frames, keyed(schema_of(a="integer", b="string"), "a", "b"))
    assert found == ["(a, b): duplicated key: 1 rows, for example ('1', 'x')"]


def test_a_unique_column_is_compared_across_partitions() -> None:
    frames = {"2013-01": pd.DataFrame({"a": [1, 2]}), "2013-02": pd.DataFrame({"a": [2, 3]})}
    found = violations(frames, schema_of(a=("integer", {"unique": True})))
    assert found == ["(a): duplicated key: 1 rows, for example ('2',)"]


def test_missing_values_are_not_repeated_ones() -> None:
    frame = pd.DataFrame({"a": ["x", None, None]})
    assert problems(frame, schema_of(a=("string", {"unique": True}))) == []


@pytest.mark.parametrize("frames", [{}, {"p": pd.DataFrame({"x": []})}])
def test_a_table_without_rows_is_a_violation(frames: dict[str, pd.DataFrame]) -> None:
    assert violations(frames, schema_of(x="integer")) == ["(table): has no rows"]


def test_what_a_table_holds_is_described_by_type() -> None:
    frame = pd.DataFrame(
        {
            "id": [3, 1, 2],
            "kind": ["a", None, "a"],
            "when": pd.to_datetime(pd.Series(["2013-01-02", None, "2013-01-01"]), utc=True),
            "none": [np.nan] * 3,
        }
    )
    assert describe([frame], schema_of(id="integer", kind="string", when="datetime", none="number")) == {
        "rows": 3,
        "columns": {
            "id": {"missing": 0, "minimum": 1.0, "maximum": 3.0},
            "kind": {"missing": 1, "distinct": 1},
            "when": {"missing": 1, "minimum": "2013-01-01T00:00:00+00:00", "maximum": "2013-01-02T00:00:00+00:00"},
            "none": {"missing": 3},
        },
    }


def test_no_report_shows_a_value_of_a_personal_column() -> None:
    schema = schema_of(id="integer", name=("string", {"pattern": "^[a-z]+$", "unique": True}), born="datetime")
    fields = [column.model_copy(update={"personal": column.name != "id"}) for column in schema.fields]
    schema = keyed(schema.model_copy(update={"fields": fields}), "id", "name")
    born = pd.to_datetime(pd.Series(["1961-02-03", "1999-01-01"]), utc=True)
    wrong = pd.DataFrame({"id": [1, 2], "name": ["Ada", "bob"], "born": born})
    assert problems(wrong, schema) == ["name: pattern ^[a-z]+$: 1 rows, for example (personal) (p)"]
    repeated = problems(wrong.assign(id=1, name="bob"), schema)
    assert repeated == [
        "(name): duplicated key: 1 rows, for example ('(personal)',)",
        "(id, name): duplicated key: 1 rows, for example ('1', '(personal)')",
    ]
    assert problems(wrong.assign(name=[1, 2]), schema) == [
        "name: type string: 2 rows, for example (personal) (p), (personal) (p)"
    ]
    assert describe([wrong], schema)["columns"] == {
        "id": {"missing": 0, "minimum": 1.0, "maximum": 2.0},
        "name": {"missing": 0},
        "born": {"missing": 0},
    }
