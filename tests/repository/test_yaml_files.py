"""A mapping that is replaced leaves the comments and blank lines around it."""

import io
from typing import Any

import pytest

from ontime.repository.yaml_files import replace_mapping, yaml_for_people

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
    replace_mapping(loaded["top"], key, content)
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
