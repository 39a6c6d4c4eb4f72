"""Types are found from all values of a column, nothing is lost by one, and what is nearly of a type is told."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from ontime.common.params import check
from ontime.datasets.inference import Inferred, infer
from ontime.datasets.reader import read_columns
from ontime.datasets.schema import TableSchema, load_schemas
from tests.own_tables import columns_of, content_of


def inferred(values: list[str], name: str = "x", **given: Any) -> Inferred:
    """What is found for a column of cells, beside one of numbers."""
    cells = "".join(f'"{value}";{number}.5\n' for number, value in enumerate(values))
    columns = read_columns(content_of(f'"{name}";n\n{cells}'.encode()), "t.csv")
    return infer({name: columns.found[name]}, columns.form, **given)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "integer"),
        ([1.0, None, 3.0], "integer"),
        ([1.0, 2.5], "number"),
        ([np.inf, 1.0], "number"),
        ([1e39, 1.0], "number"),
        ([None, None], "number"),
        ([np.nan, np.nan], "number"),
        ([True, False], "boolean"),
        ([True, None], "boolean"),
        (["a", None], "string"),
        (["1", "2"], "string"),
        (["True", "False"], "string"),
        (["2013-01-01", None], "datetime"),
        (["2013-01-01T05:00:00Z", "2013-01-01 05:00"], "datetime"),
        (["2013-01-01", "yesterday"], "string"),
        (["2013-1-1"], "string"),
        (["20130101"], "string"),
        ([datetime.date(2013, 1, 1), None], "datetime"),
        (pd.to_datetime(pd.Series(["2013-01-01", None])), "datetime"),
        (pd.to_datetime(["2013-01-01"], utc=True), "datetime"),
        (pd.array([1, None], dtype="Int64"), "integer"),
        (pd.array([True, None], dtype="boolean"), "boolean"),
    ],
)
def test_types_of_a_typed_file_are_those_of_its_values(values: Any, kind: str) -> None:
    frame = pd.DataFrame({"x": values})
    (field,) = infer(columns_of(frame).found).fields
    assert field["type"] == kind
    assert ("constraints" in field) == bool(frame["x"].notna().all())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", " 2 ", "-3"], "integer"),
        (["1.0", "0.0", ""], "integer"),
        (["1", "2.5e-3", "+.5"], "number"),
        (["", ""], "number"),
        (["true", "FALSE", "True"], "boolean"),
        (["0", "1"], "integer"),
        (["NA", "DE", "FR"], "string"),
        (["007", "1234"], "string"),
        (["18446744073709551616", "2"], "string"),
        (["9223372036854775807", "-9223372036854775808"], "integer"),
        (["2013-01-01", "2013-01-01T05:00+01:00"], "datetime"),
        (["1000-10-20", "1052-62-72"], "string"),
        (["20200101", "19991231"], "datetime"),
        (["20200101", "20200230"], "integer"),
        (["01/31/2020", "02/28/2020"], "string"),
        (["8:30", "9:15"], "string"),
    ],
)
def test_types_of_a_text_file_lose_nothing(values: list[str], kind: str) -> None:
    found = inferred(values)
    assert found.fields[0]["type"] == kind
    assert found.problems == []


def test_what_was_decided_is_told() -> None:
    assert inferred(["007", "1234"]).notes == ["x: read as text, so that leading zeros stay"]
    assert inferred(["36893488147419103232"]).notes == ["x: read as text, as whole numbers of more than 64 bits"]
    assert inferred(["20200101"]).notes == ["x: read as dates of the form %Y%m%d"]
    assert inferred(["20200101"]).fields[0]["format"] == "%Y%m%d"
    assert inferred(["31/01/2020"]).notes[0].startswith("x: read as text; if it is a date, say how: --type x=datetime:")


def test_a_word_for_missing_is_one_only_among_numbers_times_and_booleans() -> None:
    found = inferred(["1.5", "NA", "2", "NA"])
    assert found.fields == [{"name": "x", "type": "number", "missingValues": ["NA"]}]
    assert found.notes == ["x: 2 of 4 values read as missing: NA"]
    assert inferred(["NA", "NA", "DE"]).fields == [{"name": "x", "type": "string", "constraints": {"required": True}}]
    assert inferred(["unknown", "3"], missing=["unknown"]).fields == [{"name": "x", "type": "integer"}]


@pytest.mark.parametrize(
    ("values", "odd", "reason"),
    [
        ([f"{number}.5" for number in range(20)], "many", "x: 20 of 21 values are numbers, not 'many' in row 21; "),
        ([f"2013-01-{day:02}" for day in range(1, 21)], "2013-02-30", "are dates, not '2013-02-30' in row 21; "),
        (["true", "false"] * 10, "perhaps", "x: 20 of 21 values are true or false, not 'perhaps' in row 21; "),
    ],
)
def test_a_column_that_is_nearly_of_a_type_is_for_a_person_to_decide(values: list[str], odd: str, reason: str) -> None:
    (problem,) = inferred([*values, odd]).problems
    assert reason in problem
    assert "--type x=string" in problem
    assert odd not in inferred([*values, odd], personal=["x"]).problems[0]
    given = {"x": {"name": "x", "type": "string"}}
    assert inferred([*values, odd], declared=given).problems == []


def test_numbers_with_other_signs_than_those_of_the_file_are_told() -> None:
    (problem,) = inferred(["0,126", "-1,5"]).problems
    assert problem.startswith("x: 2 of 2 values are numbers with the decimal sign ',', for example '0,126', but other")


def test_an_inferred_schema_is_a_valid_file(tmp_path: Path) -> None:
    fields = infer(columns_of(pd.DataFrame({"a": [1, 2], "b": ["x", None]})).found, personal=["b"]).fields
    YAML().dump({"fields": fields}, tmp_path / "table.yaml")
    assert load_schemas(tmp_path)["table"] == check(TableSchema, {"fields": fields}, "here")
    assert fields == [
        {"name": "a", "type": "integer", "constraints": {"required": True}},
        {"name": "b", "type": "string", "personal": True},
    ]


def opinions(count: int, words: int) -> list[str]:
    """Texts of so many words, each another."""
    return [" ".join(f"w{(row * place) % 91}" for place in range(1, words + 1)) for row in range(count)]


@pytest.mark.parametrize(
    ("values", "is_text"),
    [
        (opinions(30, 6), True),
        ([*opinions(28, 9), "NA", "short"], True),
        (opinions(30, 5), False),
        (opinions(19, 9), False),
        (opinions(10, 9) * 3, False),
        ([f"code-{row}" for row in range(50)], False),
    ],
    ids=["six words", "some short", "five words", "few rows", "the same texts", "codes"],
)
@pytest.mark.parametrize("typed", [True, False])
def test_many_different_texts_of_many_words_are_text_and_it_is_said(
    values: list[str], is_text: bool, typed: bool
) -> None:
    found = infer(columns_of(pd.DataFrame({"x": values})).found) if typed else inferred(values)
    (field,) = found.fields
    assert (field["type"], field.get("text", False)) == ("string", is_text)
    assert [note.startswith("x: text of many words, from which a model learns;") for note in found.notes] == (
        [True] * is_text
    )


def test_a_declared_string_stays_a_category() -> None:
    found = inferred(opinions(30, 9), declared={"x": {"name": "x", "type": "string"}})
    assert "text" not in found.fields[0]
    assert not found.notes
