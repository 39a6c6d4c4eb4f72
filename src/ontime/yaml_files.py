"""YAML files that people keep, edited in place: comments, order, quotes and indentation stay."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ontime.files import replacing


def yaml_for_people() -> YAML:
    """A reader and writer that keeps the form of this repository's YAML files."""
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


@contextmanager
def editing(path: Path) -> Iterator[Any]:
    """Yield the content of a file; what the block changes in it is written when the block succeeds."""
    yaml = yaml_for_people()
    content = yaml.load(path)
    yield content
    with replacing(path) as temporary:
        yaml.dump(content, temporary)
