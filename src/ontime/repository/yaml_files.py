"""Edits YAML files in place, keeping comments, order, quotes and indentation."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.emitter import Emitter, ScalarAnalysis

from ontime.common.files import replacing

WORDS = re.compile(r"\w[\w .-]*")
LINE_ENDS = re.compile(r"[\n\r\x85\u2028\u2029]")


class CarefulEmitter(Emitter):
    """Writes texts as every reader of YAML reads them.

    In a list between brackets libyaml takes a colon for that of a mapping; between single quotes, the end of a line is
    read as a blank.
    """

    def analyze_scalar(self, scalar: Any) -> ScalarAnalysis:
        """What ways there are to write a text."""
        analysis: ScalarAnalysis = super().analyze_scalar(scalar)
        if not WORDS.fullmatch(scalar):
            analysis.allow_flow_plain = False
        if LINE_ENDS.search(scalar):
            analysis.allow_flow_plain = analysis.allow_block_plain = analysis.allow_single_quoted = False
        return analysis


def yaml_for_people() -> YAML:
    """A reader and writer that keeps the form of this repository's YAML files."""
    yaml = YAML()
    yaml.Emitter = CarefulEmitter
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
