"""A mapping that is replaced leaves the comments and blank lines around it."""

import io
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.repository.yaml_files import replace_value, yaml_for_people

TEXT = """\
top:
  # about one
  one:
    a: 1
    b: 2

  # about two
  two: {}
  # about three
  three: 3
"""


def replaced(text: str, key: str, content: dict[str, Any]) -> str:
    yaml, stream = yaml_for_people(), io.StringIO()
    loaded = yaml.load(text)
    replace_value(loaded["top"], key, content)
    yaml.dump(loaded, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("key", "content", "old", "new"),
    [
        ("one", {"c": 3}, "    a: 1\n    b: 2\n", "    c: 3\n"),
        ("one", {}, "one:\n    a: 1\n    b: 2\n", "one: {}\n"),
        ("two", {"c": 3}, "two: {}\n", "two:\n    c: 3\n"),
        ("two", {}, "", ""),
    ],
)
def test_what_follows_a_mapping_follows_the_new_one(key: str, content: dict[str, Any], old: str, new: str) -> None:
    expected = TEXT.replace(old, new)
    assert replaced(TEXT, key, content) == expected
    assert replaced(expected, key, content) == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            ":0",
            "0:0",
            "x:",
            ":",
            "a: b",
            "?x",
            "a?b",
            "- x",
            "# x",
            "a #b",
            "null",
            "1",
            "true",
            "~",
            "=",
            "<<",
            "---",
        ),
        *(
            "<<",
            "---",
            "${x}",
            "{{x}}",
            "[0]",
            "a,b;c",
            '"',
            "'",
            "\\",
            "%x",
            "@x",
            "`x",
            "&a",
            "*a",
            "!t",
            "|",
            ">",
            "é",
            "😀",
        ),
        *("a\nb", "\n", "\r", "\t", " ", " a", "a ", "a  b", "\x85", "\u2028", "\u2029", "\ufeff"),
    ],
)
def test_a_text_of_any_signs_is_read_as_it_was_written(name: str) -> None:
    yaml, stream = yaml_for_people(), io.StringIO()
    content = yaml.load("flow: [x]\nblock:\n  - x\nkeys:\n  x: x\n")
    content["flow"][:] = content["block"][:] = [name]
    content["keys"] = {name: name}
    yaml.dump(content, stream)
    # the second reader is libyaml, by which DVC reads
    for reader in (YAML(typ="safe", pure=True), YAML(typ="safe")):
        expected = {"flow": [name], "block": [name], "keys": {name: name}}
        assert reader.load(stream.getvalue()) == expected
