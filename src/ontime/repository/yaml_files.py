"""Edits YAML files in place, keeping comments, order, quotes and indentation."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from ontime.common.files import replacing


def yaml_for_people() -> YAML:
    """A reader and writer that keeps the form of this repository's YAML files."""
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


@contextmanager
def editing(path: Path) -> Iterator[Any]:
    """Yield the content of a file, and write it back with the changes of the block if the block succeeds."""
    yaml = yaml_for_people()
    content = yaml.load(path)
    yield content
    with replacing(path) as temporary:
        yaml.dump(content, temporary)


def plain(content: Any) -> Any:
    """The content as plain mappings, lists and values, as a reader that keeps no comments makes them."""
    written = io.StringIO()
    yaml_for_people().dump(content, written)
    return YAML(typ="safe", pure=True).load(written.getvalue())


def replace_mapping(parent: CommentedMap, key: str, content: Mapping[str, Any]) -> None:
    """Put other content at a key; the blank line or comment that followed the last entry follows the new last one."""
    old, new = parent[key], CommentedMap(content)
    parent[key] = new
    # of an empty mapping, its key is the last entry
    last = (old, next(reversed(old))) if old else (parent, key)
    new_last = (new, next(reversed(new))) if new else (parent, key)
    if after := last[0].ca.items.pop(last[1], None):
        new_last[0].ca.items[new_last[1]] = after
