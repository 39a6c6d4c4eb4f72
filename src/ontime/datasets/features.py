"""`data/features.yaml`: how people call the model's features, as a Frictionless Table Schema.

Beside the standard's `title` and `description` a field may have a `unit`, and `labels`: what a person reads for a
value. The stage `export` reads it for the service's page; for a fork's own table `ontime init` writes it and a person
edits it.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.common.params import Section, check
from ontime.datasets.schema import FieldType

FEATURES_FILE = Path("data/features.yaml")
CLOCK, MOMENT = "minutes since midnight", "days since 1970"
"""Units of numbers that are shown as a time, and as a date with time."""
YES_OR_NO: dict[str | int | float, str] = {0: "no", 1: "yes"}


class FeatureField(Section):
    """One feature; `labels` has number keys for a feature that is a number to the model."""

    name: str
    type: FieldType
    title: str = ""
    unit: str = ""
    description: str = ""
    labels: dict[str | int | float, str] = Field(default_factory=dict)


class _Features(Section):
    fields: Annotated[list[FeatureField], Field(min_length=1)]


def load_features(layout: Layout, path: Path = FEATURES_FILE) -> dict[str, FeatureField]:
    """The field of every feature by name; a feature that the file lacks gets a title made from its name.

    Raises:
        OntimeError: no such file, not YAML, an unknown key, or a feature that is misspelt, twice or of another type.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; write it with `ontime init`") from None
    except YAMLError as error:
        raise OntimeError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    found: dict[str, FeatureField] = {}
    for field in check(_Features, content, str(path)).fields:
        if field.name in found:
            raise OntimeError(f"{path}: {field.name}: twice")
        found[field.name] = field
        if field.name in layout.features:
            _check_types(field, layout, path)
    _check_names(found, layout, path)
    return {name: _with_defaults(found.get(name), name, layout) for name in layout.features}


def _check_names(found: Mapping[str, FeatureField], layout: Layout, path: Path) -> None:
    """Refuse a misspelt name; a field of what is no feature now, such as an excluded column, is only told."""
    unknown = [name for name in found if name not in layout.features]
    without = [name for name in layout.features if name not in found]
    for name in unknown:
        if close := difflib.get_close_matches(name, without, n=1):
            raise OntimeError(f"{path}: {name}: no such feature; did you mean {close[0]}?")
    if unknown:
        click.echo(f"warning: {path}: no features of the model: {', '.join(unknown)}", err=True)


def _check_types(field: FeatureField, layout: Layout, path: Path) -> None:
    if (field.type == "string") == (field.name in layout.numbers):
        other = "a number" if field.name in layout.numbers else "a text"
        raise OntimeError(f"{path}: {field.name}: type {field.type}, but the model takes {other}")
    for value in field.labels:
        if field.type != "string" and not isinstance(value, int | float):
            raise OntimeError(f"{path}: {field.name}: labels: {value} is not a number, which the feature is")


def _with_defaults(field: FeatureField | None, name: str, layout: Layout) -> FeatureField:
    if field is None:
        field = FeatureField(name=name, type="number" if name in layout.numbers else "string")
    labels = dict(field.labels)
    if field.type == "string":
        labels = {str(value): label for value, label in field.labels.items()}
    elif field.type == "boolean":
        labels = {**YES_OR_NO, **labels}
    return field.model_copy(update={"title": field.title or title_of(name), "labels": labels})


def title_of(name: str) -> str:
    """A title made from a column's name."""
    words = " ".join(name.replace("_", " ").split()) or name
    return words[:1].upper() + words[1:]


def infer_fields(layout: Layout, types: Mapping[str, FieldType]) -> list[dict[str, Any]]:
    """Plain content of a field for each feature of a table, for a person to edit; `types` by column."""
    return [
        {
            "name": name,
            "type": types[name],
            "title": title_of(name),
            "unit": MOMENT if types[name] == "datetime" else "",
        }
        for name in layout.features
    ]
