"""A fork's own table: what its columns become by their types and roles, and which roles are refused."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet, write_parquet
from ontime.common.layout import TARGET, Layout
from ontime.common.params import check
from ontime.datasets import table
from ontime.datasets.inference import infer
from ontime.datasets.schema import TableSchema
from tests.own_tables import columns_of

CSV = b"""size,kind,when,ok,late
1.5,a,2013-01-01,True,yes
,,2013-01-02T06:00:00+01:00,False,no
3,b,,,yes
2,a,2013-01-04,,
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(CSV))


def options_of(**changes: Any) -> table.Options:
    return check(table.Options, {"target": "late", "positive": "yes", **changes}, "options")


def schemas_of(frame: pd.DataFrame) -> dict[str, TableSchema]:
    return {"table": check(TableSchema, {"fields": infer(columns_of(frame).found).fields}, "schema")}


def test_the_pinned_hash_is_compared(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    pinned = options_of(sha256=hashlib.sha256(CSV).hexdigest())
    ((name, partition, _),) = table.read_tables(str(path), pinned, schemas_of(frame))
    assert (name, partition) == ("table", "table")
    path.write_bytes(CSV + b"9,a,2013-01-05,,no\n")
    with pytest.raises(
        OntimeError,
        match=r"not the content that data\.options\.sha256 pins: restore the file, or .* with `ontime refresh`$",
    ):
        list(table.read_tables(str(path), pinned, schemas_of(frame)))


def test_a_table_without_its_schema_says_how_to_write_it(tmp_path: Path, frame: pd.DataFrame) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    with pytest.raises(OntimeError, match=r"data/schema/table\.yaml: not found; write it with `ontime init`"):
        list(table.read_tables(str(tmp_path / "t.csv"), options_of(), {"other": schemas_of(frame)["table"]}))


def test_columns_get_their_roles_by_type(frame: pd.DataFrame) -> None:
    schemas = schemas_of(frame)
    assert table.layout(options_of(), schemas) == Layout(
        key=["row"], time=None, numbers=["size", "when", "ok"], categories=["kind"]
    )
    chosen = table.layout(options_of(time="when", key=["kind"], exclude=["ok"]), schemas)
    assert chosen == Layout(key=["kind"], time="when", numbers=["size"], categories=[])
    text = schemas["table"].model_copy(
        update={"fields": [one.model_copy(update={"text": one.name == "kind"}) for one in schemas["table"].fields]}
    )
    assert table.layout(options_of(), {"table": text}) == Layout(
        key=["row"], time=None, numbers=["size", "when", "ok"], categories=[], texts=("kind",)
    )
    grouped = table.layout(options_of(group="kind"), schemas)
    assert grouped == Layout(key=["row"], time=None, numbers=["size", "when", "ok"], categories=[], group="kind")
    weighted = table.layout(options_of(weight="size"), schemas)
    assert weighted == Layout(key=["row"], time=None, numbers=["when", "ok"], categories=["kind"], weight="size")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "lates"}, "data.options.target: no column lates"),
        ({"time": "then"}, "data.options.time: no column then"),
        ({"group": "id"}, "data.options.group: no column id"),
        ({"time": "size"}, "data.options.time: size is not a datetime"),
        ({"weight": "id"}, "data.options.weight: no column id"),
        ({"weight": "kind"}, "data.options.weight: kind is not a number"),
        ({"weight": "ok"}, "data.options.weight: ok is not a number"),
        ({"weight": "size", "key": ["size"]}, "data.options.weight: size is data.options.key as well"),
        ({"weight": "size", "group": "size"}, "data.options.weight: size is data.options.group as well"),
        ({"key": ["kind", "id"]}, "data.options.key: no column id"),
        ({"exclude": ["id"]}, "data.options.exclude: no column id"),
        ({"exclude": ["size", "kind", "when", "ok"]}, "no column is left as a feature"),
    ],
)
def test_a_role_for_no_such_column_is_one_line(frame: pd.DataFrame, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OntimeError) as error:
        table.layout(options_of(**changes), schemas_of(frame))
    assert reason in str(error.value)


Make = Callable[..., pd.DataFrame]


@pytest.fixture
def features(tmp_path: Path) -> Make:
    """A function that takes a table's content through `ingest`'s and `featurize`'s functions."""

    def make(content: bytes, **changes: Any) -> pd.DataFrame:
        source = tmp_path / "t.csv"
        source.write_bytes(content)
        schemas, options = schemas_of(pd.read_csv(io.BytesIO(content))), options_of(**changes)
        ((_, _, rows),) = table.read_tables(str(source), options, schemas)
        write_parquet(rows, tmp_path / "raw" / "table" / "table.parquet")
        made = table.features(tmp_path / "raw", "table", options, table.layout(options, schemas))
        write_parquet(made, tmp_path / "features.parquet")
        return read_parquet(tmp_path / "features.parquet")

    return make


def test_features_hold_numbers_days_booleans_categories_and_the_target(features: Make) -> None:
    rows = features(CSV)
    assert list(rows.columns) == ["row", "size", "when", "ok", "kind", TARGET]
    assert rows["row"].tolist() == [0, 1, 2, 3]
    assert [str(rows[name].dtype) for name in ("size", "when", "ok")] == ["float32"] * 3
    np.testing.assert_array_equal(rows["size"], np.array([1.5, np.nan, 3, 2], dtype=np.float32))
    np.testing.assert_array_equal(rows["when"], np.array([15706, 15707 + 5 / 24, np.nan, 15709], dtype=np.float32))
    np.testing.assert_array_equal(rows["ok"], np.array([1, 0, np.nan, np.nan], dtype=np.float32))
    assert rows["kind"].tolist()[0] == "a"
    assert rows["kind"].isna().tolist() == [False, True, False, False]
    np.testing.assert_array_equal(rows[TARGET], [1, 0, 1, np.nan])


def test_key_and_time_are_kept_beside_the_features(features: Make) -> None:
    rows = features(CSV, time="when", key=["size"])
    assert list(rows.columns) == ["size", "when", "ok", "kind", TARGET]
    assert str(rows["when"].dtype) == "datetime64[us, UTC]"
    np.testing.assert_array_equal(rows["size"], [1.5, np.nan, 3, 2])


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        (["yes", "no", None], "yes", [1, 0, None]),
        ([1, 0, 1], 1, [1, 0, 1]),
        ([1.0, None, 2.0], 2, [0, None, 1]),
        ([True, False, True], True, [1, 0, 1]),
        ([True, False, None], False, [0, 1, None]),
        (pd.array([1, 0, None], dtype="Int64"), 1, [1, 0, None]),
        (pd.array([True, None, False], dtype="boolean"), True, [1, None, 0]),
    ],
)
def test_the_target_is_one_where_it_is_positive(values: Any, positive: Any, expected: list[int | None]) -> None:
    labels = table.binary_target(pd.Series(values, name="late"), positive)
    assert str(labels.dtype) == "Int8"
    assert [None if pd.isna(label) else int(label) for label in labels] == expected


@pytest.mark.parametrize(
    ("values", "positive", "reason"),
    [
        (["a", "b", "c"], "a", "target late: has 3 values (a, b, c); it must have two"),
        (list("abcdefg"), "a", "target late: has 7 values (a, b, c, d, e, …); it must have two"),
        (["a", "a"], "a", "target late: has 1 values (a); it must have two"),
        ([None, None], "a", "target late: has 0 values (); it must have two"),
        (["a", "b"], "c", "params.yaml: data.options.positive: no 'c' in late; found a, b"),
        ([0, 1], "1", "params.yaml: data.options.positive: no '1' in late; found 0, 1"),
    ],
)
def test_a_target_that_is_not_binary_is_refused_with_what_it_holds(
    values: list[Any], positive: Any, reason: str
) -> None:
    with pytest.raises(OntimeError) as error:
        table.binary_target(pd.Series(values, name="late"), positive)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", None, "a", "c", "a"], ["a", "b", "c"]),
        (pd.array([5, None, 3, 7, 3], dtype="Int64"), [3, 5, 7]),
        ([5.0, None, 3.0, 7.0, 3.0], [3, 5, 7]),
        (pd.array(["b", None, "a", "c", "a"], dtype="str"), ["a", "b", "c"]),
    ],
)
def test_the_target_is_the_place_of_its_class(values: Any, classes: list[Any]) -> None:
    labels = table.class_target(pd.Series(values, name="kind"), classes)
    assert labels.dtype == "Int8"
    assert [None if pd.isna(label) else label for label in labels] == [1, None, 0, 2, 0]


def test_a_class_that_is_not_listed_is_one_line() -> None:
    with pytest.raises(OntimeError) as error:
        table.target_values(pd.Series(["a", "b", "z"], name="kind"), None, ["a", "b", "c"])
    assert str(error.value) == (
        "target kind: has a class that data.options.classes lacks ('z'); take it with `ontime init`"
    )
    assert [table.class_name(value) for value in (1, 1.0, 1.5, "1")] == ["1", "1", "1.5", "1"]


def test_labels_have_the_keys_and_the_targets_of_the_features(features: Make, tmp_path: Path) -> None:
    for key in ([], ["kind", "size"]):
        rows = features(CSV, key=key)
        options = options_of(key=key)
        layout = table.layout(options, schemas_of(pd.read_csv(io.BytesIO(CSV))))
        found = table.labels(tmp_path / "raw", "table", options, layout)
        assert list(found.columns) == [*layout.key, TARGET]
        assert found[TARGET].astype("Float64").tolist() == rows[TARGET].astype("Float64").tolist()
        assert len(found) == len(rows) == 4


def personal_schema(*personal: str) -> dict[str, TableSchema]:
    columns = [("person", "string"), ("age", "integer"), ("visit", "integer"), ("ill", "string")]
    fields = [{"name": name, "type": kind, "personal": name in personal} for name, kind in columns]
    return {"table": TableSchema.model_validate({"fields": fields})}


def test_a_personal_column_is_no_feature_unless_it_is_allowed_by_name() -> None:
    schema = personal_schema("person", "age")
    options: dict[str, Any] = {"target": "ill", "positive": "yes", "key": ["visit"]}
    with pytest.raises(OntimeError, match="no column is left as a feature"):
        table.layout(table.Options(**options), schema)
    assert table.layout(table.Options(**options, allow_personal=["age"]), schema).features == ["age"]
    assert table.layout(table.Options(**options), personal_schema("person")).features == ["age"]


@pytest.mark.parametrize(("role", "value"), [("target", "ill"), ("key", ["visit"])])
def test_a_personal_column_is_neither_target_nor_key_unless_it_is_allowed(role: str, value: str | list[str]) -> None:
    name = value if isinstance(value, str) else value[0]
    options: dict[str, Any] = {"target": "ill", "positive": "yes", "key": ["visit"], role: value}
    with pytest.raises(OntimeError, match=rf"data\.options\.{role}: {name} is marked personal"):
        table.layout(table.Options(**options), personal_schema(name))
    assert table.layout(table.Options(**options, allow_personal=[name]), personal_schema(name)).features


def test_a_column_of_any_name_is_kept_apart_from_our_own(tmp_path: Path) -> None:
    names = ["target", "target_", "row", "probability", "time", "key", "late"]
    rows = pd.DataFrame({name: [0.5 + number, 7.5, 9.5] for number, name in enumerate(names[:-1])})
    rows["late"] = ["yes", "no", None]
    write_parquet(rows, tmp_path / "table" / "table.parquet")
    layout = table.layout(options_of(), schemas_of(rows))
    assert (layout.key, layout.target, layout.numbers) == (["row_"], "target__", names[:-1])
    made = table.features(tmp_path, "table", options_of(), layout)
    assert made.columns.tolist() == ["row_", *names[:-1], "target__"]
    pd.testing.assert_frame_equal(made[names[:-1]], rows[names[:-1]].astype("float32"))
    assert made["target__"].fillna(-1).tolist() == [1, 0, -1]
    assert made["row_"].tolist() == [0, 1, 2]
