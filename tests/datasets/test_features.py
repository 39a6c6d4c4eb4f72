"""The data card's fields: read with defaults, refused in one line, and inferred from a table's schema."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.datasets.features import MOMENT, infer_fields, load_features, title_of

LAYOUT = Layout(key=["row"], time=None, numbers=["weight", "fragile", "sent"], categories=["depot"])


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "features.yaml"
    path.write_text(text)
    return load_features(LAYOUT, path)


def test_a_feature_that_the_file_lacks_gets_a_title_from_its_name(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text("fields:\n  - {name: weight, type: number, title: Weight of the parcel, unit: kg}\n")
    fields = load_features(LAYOUT, path)
    assert list(fields) == LAYOUT.features
    assert (fields["weight"].title, fields["weight"].unit) == ("Weight of the parcel", "kg")
    assert (fields["depot"].title, fields["depot"].type, fields["depot"].labels) == ("Depot", "string", {})


def test_a_booleans_values_are_read_as_yes_and_no_unless_labelled(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text("fields:\n  - {name: fragile, type: boolean, labels: {1: breaks}}\n")
    assert load_features(LAYOUT, path)["fragile"].labels == {0: "no", 1: "breaks"}


def test_labels_of_a_text_are_by_its_text(tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text("fields:\n  - {name: depot, type: string, labels: {7: seventh, north: North}}\n")
    assert load_features(LAYOUT, path)["depot"].labels == {"7": "seventh", "north": "North"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fields: [{name: wieght, type: number}]", "wieght: no such feature; did you mean weight?"),
        ("fields: [{name: depot, type: string}, {name: depot, type: string}]", "depot: twice"),
        ("fields: [{name: depot, type: number}]", "depot: type number, but the model takes a text"),
        ("fields: [{name: weight, type: string}]", "weight: type string, but the model takes a number"),
        ("fields: [{name: weight, type: number, labels: {a: A}}]", "weight: labels: a is not a number, which the"),
        ("fields: [{name: weight, type: number, tilte: W}]", "fields.0.tilte: unknown key; did you mean title?"),
        ("fields: [{name: weight, type: real}]", "fields.0.type: input should be 'integer', "),
        ("fields: [{name: weight}]", "fields.0.type: missing"),
        ("fields: []", "fields: list should have at least 1 item"),
        ("fields: [", "not YAML: "),
        ("", "input should be a valid dictionary"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'features.yaml'}: {reason}")
    assert "\n" not in str(refused.value)


def test_a_field_of_what_is_no_feature_now_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "features.yaml"
    path.write_text("fields: [{name: weight, type: number}, {name: weight_2, type: number}, {name: x, type: string}]")
    assert list(load_features(LAYOUT, path)) == LAYOUT.features
    assert capsys.readouterr().err == f"warning: {path}: no features of the model: weight_2, x\n"


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"absent\.yaml: not found; write it with `ontime init`"):
        load_features(LAYOUT, tmp_path / "absent.yaml")


def test_fields_are_inferred_in_the_models_order() -> None:
    fields = infer_fields(LAYOUT, {"depot": "string", "weight": "number", "fragile": "boolean", "sent": "datetime"})
    assert [(field["name"], field["type"], field["unit"]) for field in fields] == [
        ("weight", "number", ""),
        ("fragile", "boolean", ""),
        ("sent", "datetime", MOMENT),
        ("depot", "string", ""),
    ]


@pytest.mark.parametrize(("name", "title"), [("sched_dep", "Sched dep"), ("_x_", "X"), ("___", "___"), ("A b", "A b")])
def test_a_title_is_made_of_a_name(name: str, title: str) -> None:
    assert title_of(name) == title


def test_the_file_of_the_flights_describes_every_feature_of_their_graph() -> None:
    from ontime.datasets import flights
    from tests.live import FEATURES

    layout = flights.layout(flights.Options(late_minutes=15, cutoff_minutes=120), {})
    text = FEATURES.read_text(encoding="utf-8")
    fields = load_features(layout, FEATURES)
    assert text.count("\n  - name: ") == len(fields)
    assert all(field.title != title_of(name) or " " not in field.title for name, field in fields.items())
