"""A fork for its own table: files edited in place, and tables that are refused before anything is written."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.data_source.plain_values import plain
from ontime.data_source.question import positive_value
from ontime.datasets.schema import load_schemas
from ontime.parameters import load_params
from tests.live import live
from tests.params_form import set_by_dvc


def init(source: str, *arguments: str) -> None:
    commands.main(["init", "--source", source, "--no-run", *arguments], standalone_mode=False)


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def comments(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip().startswith("#")]


def test_parameters_schema_and_artifact_are_edited_in_place(graph: Path, parcels: pd.DataFrame) -> None:
    before = yaml(graph / "params.yaml")
    parcels.to_csv("my_Parcels.2024.csv", index=False)
    init("my_Parcels.2024.csv", "--target", "late", "--time", "sent", "--key", "parcel")
    params = load_params(graph / "params.yaml")
    assert params.data.source == "my_Parcels.2024.csv"
    assert params.data.options == {
        "target": "late",
        "positive": "yes",
        "time": "sent",
        "key": ["parcel"],
        "exclude": [],
        "csv": {"delimiter": ",", "quote": '"', "encoding": "utf-8", "decimal": ".", "thousands": None},
        "sha256": hashlib.sha256((graph / "my_Parcels.2024.csv").read_bytes()).hexdigest(),
    }
    assert params.split.by == "time"
    assert (params.split.validation_from, params.split.test_from) == (
        "2024-01-11T19:00:00+00:00",
        "2024-01-14T02:30:00+00:00",
    )
    assert params.split.min_category_rows == 5
    assert params.evaluate.slices == ["depot", "service"]
    assert params.evaluate.baseline_group == ["depot"]
    assert params.export.name == "my-parcels"
    for section in ("engine", "decision", "select"):
        assert yaml(graph / "params.yaml")[section] == before[section]
    (schema,) = load_schemas(graph / "data" / "schema").values()
    assert [column.name for column in schema.fields] == list(parcels.columns)
    assert schema.primaryKey == ["parcel"]
    assert schema.of_type("datetime") == ["sent"]
    assert schema.of_type("boolean") == ["fragile"]


def test_comments_and_the_rest_of_the_graph_are_kept(graph: Path, parcels: pd.DataFrame) -> None:
    before, source = yaml(graph / "dvc.yaml"), load_params(graph / "params.yaml").data.source
    # a fork's own file is an input, which another takes the place of
    before["stages"]["ingest"]["deps"] = [path for path in before["stages"]["ingest"]["deps"] if path != source]
    parcels.to_csv("t.csv", index=False)
    init("t.csv", "--target", "late", "--name", "parcel-delay")
    assert comments(graph / "params.yaml") == comments(live("params.yaml"))
    text = (graph / "params.yaml").read_text(encoding="utf-8")
    assert len(set_by_dvc(text, "train.neural_network.learning_rate", "0.007", graph)) == 2
    (graph / "params.yaml").write_text(text, encoding="utf-8")
    blank = [path.read_text(encoding="utf-8").count("\n\n") for path in (graph / "params.yaml", live("params.yaml"))]
    assert blank[0] == blank[1]
    assert comments(graph / "dvc.yaml") == comments(live("dvc.yaml"))
    after = yaml(graph / "dvc.yaml")
    (artifact,) = after["artifacts"].items()
    assert artifact[0] == "parcel-delay"
    assert artifact[1]["desc"].startswith("Probability that late is yes")
    assert artifact[1]["path"] == "models/champion"
    assert after["stages"]["ingest"]["deps"].pop() == "t.csv"
    for part in ("stages", "plots"):
        assert after[part] == before[part]


def test_the_page_of_a_new_table_has_fields_to_edit_and_texts_of_the_target(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.rename(columns={"weight": "parcel_weight"}).to_csv("t.csv", index=False)
    init("t.csv", "--target", "late", "--exclude", "parcel")
    assert yaml(graph / "data" / "features.yaml")["fields"] == [
        {"name": "sent", "type": "datetime", "title": "Sent", "unit": "days since 1970"},
        {"name": "parcel_weight", "type": "number", "title": "Parcel weight", "unit": ""},
        {"name": "fragile", "type": "boolean", "title": "Fragile", "unit": ""},
        {"name": "depot", "type": "string", "title": "Depot", "unit": ""},
        {"name": "service", "type": "string", "title": "Service", "unit": ""},
    ]
    export = load_params(graph / "params.yaml").export
    assert (export.page_follows, export.page_sums) == ({}, {})
    assert export.page_texts.question == "Will late be yes?"
    text = (graph / "params.yaml").read_text()
    (graph / "params.yaml").write_text(text.replace("question: Will late be yes?", "question: On time?"))
    init("t.csv", "--target", "late")
    assert load_params(graph / "params.yaml").export.page_texts.question == "On time?"
    init("t.csv", "--target", "late", "--positive", "no")
    assert load_params(graph / "params.yaml").export.page_texts.question == "Will late be no?"


def test_an_edited_field_is_kept_and_what_goes_is_told(
    graph: Path, parcels: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    parcels.to_csv("t.csv", index=False)
    init("t.csv", "--target", "late")
    assert "4 kept" not in capsys.readouterr().out
    path = graph / "data" / "features.yaml"
    path.write_text(path.read_text().replace("title: Weight", "title: Mass  # of the box\n    description: Wet."))
    init("t.csv", "--target", "late", "--exclude", "depot")
    assert "title: Mass  # of the box\n    description: Wet.\n" in path.read_text()
    assert capsys.readouterr().out.endswith(
        "wrote data/features.yaml: 0 new fields to edit, 5 kept; dropped, as no features of this table: depot\n"
    )


@pytest.mark.parametrize("text", ["fields: [", "fields: 5", "", "fields: [{title: a}]", "- a"])
def test_fields_that_cannot_be_read_are_refused_and_nothing_written(
    graph: Path, parcels: pd.DataFrame, text: str
) -> None:
    parcels.to_csv("t.csv", index=False)
    (graph / "data" / "features.yaml").write_text(text)
    with pytest.raises(OntimeError, match=r"^data/features\.yaml: not a list of `fields` with name and type; "):
        init("t.csv", "--target", "late")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()
    assert (graph / "data" / "features.yaml").read_text() == text


def test_doing_it_again_changes_no_byte(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.to_csv("t.csv", index=False)
    names = ("params.yaml", "dvc.yaml", "data/features.yaml", "data/schema/table.yaml")
    init("t.csv", "--target", "late", "--time", "sent")
    before = [(graph / name).read_bytes() for name in names]
    init("t.csv", "--target", "late", "--time", "sent")
    assert [(graph / name).read_bytes() for name in names] == before


def test_without_a_time_the_split_is_stratified(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.to_parquet("t.parquet", index=False)
    init("t.parquet", "--target", "late", "--exclude", "sent", "--exclude", "parcel")
    params = load_params(graph / "params.yaml")
    assert (params.split.by, params.split.validation_from, params.split.test_from) == ("stratified", None, None)
    assert params.data.options["exclude"] == ["sent", "parcel"]


def test_a_table_from_elsewhere_is_copied_and_tracked(
    graph: Path, tmp_path: Path, parcels: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin")
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    parcels.to_csv(tmp_path / "outside.csv", index=False)
    init(str(tmp_path / "outside.csv"), "--target", "late")
    assert load_params(graph / "params.yaml").data.source == "data/external/outside.csv"
    assert (graph / "data" / "external" / "outside.csv").read_bytes() == (tmp_path / "outside.csv").read_bytes()
    assert (graph / "data" / "external" / "outside.csv.dvc").is_file()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--target", "lates"], "t.csv: no column lates; it has parcel, sent, weight, fragile, depot, service, late"),
        (["--target", "late", "--time", "then"], "t.csv: no column then; "),
        (["--target", "late", "--key", "id"], "t.csv: no column id; "),
        (["--target", "late", "--exclude", "id"], "t.csv: no column id; "),
        (["--target", "depot", "--task", "binary"], "target depot: has 3 values (north, "),
        (["--target", "depot", "--task", "regression"], "target depot: has values that are not numbers"),
        (["--target", "weight", "--task", "regression", "--positive", "1.0"], "--positive: belongs to an event"),
        (["--target", "boxes", "--positive", "3"], "target boxes: has 4 values ("),
        (["--target", "depot", "--task", "multiclass", "--positive", "north"], "--positive: belongs to an event"),
        (["--target", "late", "--positive", "maybe"], "--positive maybe: no such value in late; found no, yes"),
        (["--target", "late", "--time", "weight"], "data.options.time: weight is not a datetime"),
        (["--target", "late", "--name", "Not A Name"], "params.yaml: export.name: "),
    ],
)
def test_what_does_not_fit_the_table_is_refused_and_nothing_written(
    graph: Path, parcels: pd.DataFrame, arguments: list[str], reason: str
) -> None:
    parcels.assign(boxes=parcels["parcel"] % 4).to_csv("t.csv", index=False)
    with pytest.raises(OntimeError) as error:
        init("t.csv", *arguments)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    for name in ("params.yaml", "dvc.yaml"):
        assert (graph / name).read_bytes() == live(name).read_bytes()
    assert list(load_schemas(graph / "data" / "schema")) == list(load_schemas(live("data/schema")))


def test_classes_are_written_in_their_order_and_a_rare_one_is_refused(
    graph: Path, parcels: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = parcels["parcel"].astype(int) % 3 + 8
    parcels.assign(boxes=boxes).to_csv("t.csv", index=False)
    init("t.csv", "--target", "boxes")
    params = load_params(graph / "params.yaml")
    assert (params.task.kind, params.data.options["classes"]) == ("multiclass", [8, 9, 10])
    assert params.export.page_texts.question == "Which boxes is it?"
    assert "probability" not in yaml(graph / "params.yaml")["export"]["page_texts"]
    said = capsys.readouterr().out
    assert "task multiclass: boxes has 3 classes (8 33.3%, 9 33.3%, 10 33.3%); " in said
    assert "if it is a number to be predicted, pass --task regression" in said
    before = (graph / "params.yaml").read_bytes()
    parcels.assign(boxes=boxes.mask(boxes.index < 3, 11)).to_csv("t.csv", index=False)
    with pytest.raises(
        OntimeError, match=r"^too few rows: \w+ has \d rows of class 11 .*join rare classes in one, or add"
    ):
        init("t.csv", "--target", "boxes")
    assert (graph / "params.yaml").read_bytes() == before
    init("t.csv", "--target", "boxes", "--task", "regression")
    params = load_params(graph / "params.yaml")
    assert (params.task.kind, params.data.options.get("classes")) == ("regression", None)
    assert params.export.page_texts.question == "How much will boxes be?"


def test_a_time_that_is_no_date_is_refused(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.assign(sent=["2024-02-30"] + ["2024-03-01"] * (len(parcels) - 1)).to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match="sent"):
        init("t.csv", "--target", "late", "--time", "sent")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


def test_times_that_are_all_the_same_are_refused(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.assign(sent="2024-03-01").to_csv("t.csv", index=False)
    with pytest.raises(OntimeError, match="validation_from must be before test_from"):
        init("t.csv", "--target", "late", "--time", "sent")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


def test_an_absent_table_is_refused(graph: Path) -> None:
    with pytest.raises(OntimeError, match=r"absent\.csv: not found"):
        init("absent.csv", "--target", "late")
    assert (graph / "params.yaml").read_bytes() == live("params.yaml").read_bytes()


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([0, 1, 1], None, 1),
        ([1.0, 0.0, None], None, 1.0),
        ([True, False, None], None, True),
        (["a", "b", "b"], None, "a"),
        (["b", "a"], None, "a"),
        (["a", "b", "b"], "b", "b"),
        ([0, 1], "0", 0),
        ([2, 3, 3], "3", 3),
    ],
)
def test_the_event_is_the_wanted_or_the_usual_or_the_rarer_value(
    values: list[Any], wanted: str | None, expected: Any
) -> None:
    found = positive_value(pd.Series(values, name="late"), wanted)
    assert found == expected
    assert type(found) is type(expected)


def test_plain_content_has_pythons_own_types() -> None:
    content = plain({"a": np.int64(1), "b": [np.float32(0.5), np.bool_(True)], "c": None, 1: "x"})
    assert content == {"a": 1, "b": [0.5, True], "c": None, "1": "x"}
    assert [type(value) for value in (content["a"], *content["b"])] == [int, float, bool]


def test_a_personal_column_is_marked_in_the_schema_and_stays_so(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.to_csv("t.csv", index=False)
    init("t.csv", "--target", "late", "--key", "parcel", "--personal", "depot")
    for _ in range(2):
        marked = [field["name"] for field in yaml(graph / "data/schema/table.yaml")["fields"] if field.get("personal")]
        assert marked == ["depot"]
        assert "depot" not in [field["name"] for field in yaml(graph / "data/features.yaml")["fields"]]
        assert "depot" not in load_params(graph / "params.yaml").evaluate.slices
        init("t.csv", "--target", "late", "--key", "parcel")


def test_what_is_allowed_by_name_stays_allowed(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.to_csv("t.csv", index=False)
    init("t.csv", "--target", "late", "--key", "parcel", "--personal", "depot")
    params = graph / "params.yaml"
    params.write_text(params.read_text().replace("    exclude: []", "    exclude: []\n    allow_personal: [depot]"))
    init("t.csv", "--target", "late", "--key", "parcel")
    assert load_params(params).data.options["allow_personal"] == ["depot"]
    assert "depot" in [field["name"] for field in yaml(graph / "data/features.yaml")["fields"]]
