"""`data/features.yaml` for a table: a field for each feature, those that a person has edited kept."""

from typing import Any

from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.datasets.features import FEATURES_FILE, infer_fields
from ontime.repository.yaml_files import yaml_for_people

MOST_TOLD = 5


def read_fields() -> Any:
    """Content of `data/features.yaml`, with its comments; no fields where there is no file.

    Raises:
        OntimeError: it is not what `export` reads.
    """
    try:
        content = yaml_for_people().load(FEATURES_FILE)
        for field in content["fields"]:
            field["name"], field["type"]
        return content
    except FileNotFoundError:
        return {"fields": []}
    except (YAMLError, KeyError, TypeError):
        raise OntimeError(
            f"{FEATURES_FILE}: not a list of `fields` with name and type; correct it or remove it"
        ) from None


def merge_fields(content: Any, schema: Any, roles: Layout) -> tuple[Any, list[str], list[str]]:
    """The content with a field for each feature of the table; names of the fields kept and dropped.

    A field of the same name and type is kept, because a person may have edited it.
    """
    types = {column["name"]: column["type"] for column in schema["fields"]}
    before = {field["name"]: field for field in content["fields"]}
    fields: list[Any] = []
    for field in infer_fields(roles, types):
        name = field["name"]
        fields.append(before[name] if name in before and before[name]["type"] == field["type"] else field)
    kept = [str(field["name"]) for field in fields if any(field is old for old in before.values())]
    content["fields"] = fields
    return content, kept, [name for name in before if name not in kept]


def shortened(names: list[str]) -> str:
    """The first names of a list."""
    return ", ".join(names[:MOST_TOLD]) + (f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else "")
