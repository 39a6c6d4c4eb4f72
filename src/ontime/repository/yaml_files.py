"""Edits YAML files in place, keeping comments and order, and quotes and indentation as the file's other writers do."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.emitter import Emitter, ScalarAnalysis

from ontime.common.files import replacing
from ontime.common.params import PARAMS_FILE

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


def yaml_of(path: Path) -> YAML:
    """A reader and writer of a file: that of DVC for `params.yaml`, of which `dvc exp run -S` then changes one line."""
    if path.name != PARAMS_FILE.name:
        return yaml_for_people()
    yaml = YAML()
    yaml.Emitter = CarefulEmitter
    return yaml


@contextmanager
def editing(path: Path) -> Iterator[Any]:
    """Yield the content of a file, and write it back with the changes of the block if the block succeeds."""
    content = yaml_of(path).load(path)
    yield content
    write_yaml(content, path)


def write_yaml(content: Any, path: Path) -> None:
    """Replace a file by content that `yaml_of` has read."""
    if path.name == PARAMS_FILE.name:
        settle_lists(content)
        # the blank line after a list between brackets is kept at the next key, after one in lines at its last value
        content = _again(content, path)
        settle_lists(content)
    with replacing(path) as temporary:
        yaml_of(path).dump(content, temporary)


def _again(content: Any, path: Path) -> Any:
    written = io.StringIO()
    yaml_of(path).dump(content, written)
    return yaml_of(path).load(written.getvalue())


def settle_lists(content: Any) -> None:
    """Give every list a line for each value, and no blank line after it: DVC keeps neither another form nor a blank."""
    if isinstance(content, CommentedSeq):
        content.fa.set_block_style()
        for place, comment in list(content.ca.items.items()):
            if comment[0] is not None and not comment[0].value.strip():
                del content.ca.items[place]
        for value in content:
            settle_lists(value)
    elif isinstance(content, CommentedMap) and not content.fa.flow_style():
        for value in content.values():
            settle_lists(value)


def plain(content: Any) -> Any:
    """The content as plain mappings, lists and values, as a reader that keeps no comments makes them."""
    written = io.StringIO()
    yaml_for_people().dump(content, written)
    return YAML(typ="safe", pure=True).load(written.getvalue())


def replace_value(parent: CommentedMap, key: str, content: Any) -> None:
    """Put other content at a key; the blank line or comment that followed the last entry follows the new last one."""
    after = _pop_comment(*_end(parent, key))
    parent[key] = _commented(content)
    if after is not None:
        container, last = _end(parent, key)
        container.ca.items[last] = (
            [None, None, after, None] if isinstance(container, dict) else [after, None, None, None]
        )


def _end(container: Any, key: Any) -> tuple[Any, Any]:
    """Where the last value of what stands at a key is, by container and key; a comment after it is kept there."""
    value = container[key]
    if value and isinstance(value, CommentedMap | CommentedSeq) and not value.fa.flow_style():
        return _end(value, next(reversed(value)) if isinstance(value, dict) else len(value) - 1)
    return container, key


def _pop_comment(container: Any, key: Any) -> Any:
    comment = container.ca.items.pop(key, None)
    return comment and comment[2 if isinstance(container, dict) else 0]


def _commented(content: Any) -> Any:
    if isinstance(content, Mapping):
        return CommentedMap({key: _commented(value) for key, value in content.items()})
    return CommentedSeq(map(_commented, content)) if isinstance(content, list) else content
