"""`params.yaml` has the form in which DVC writes it, so that one changed parameter is one changed line."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.repository.yaml_files import editing, replace_value
from tests.live import PARAMS, live
from tests.params_form import set_by_dvc

IN_BRACKETS = """\
# first
a:
  list: [x, "1"]
  nested: [[1, 2], [3]]

  one: 0.1

# about b
b:
  text: "2013-10-01T04:00:00Z"
  flow: {absolute: 0.1, relative: 0.0}
  empty: []

  # the last
  last: 0.08
"""


def first_number(content: object, key: str = "") -> str:
    """The key of a fraction in nested mappings."""
    if isinstance(content, float):
        return key
    parts = content.items() if isinstance(content, dict) else ()
    return next((found for name, part in parts if (found := first_number(part, f"{key}.{name}"))), "")


@pytest.mark.parametrize("path", [live("params.yaml"), PARAMS], ids=["checkout", "flights"])
def test_dvc_changes_one_line_for_one_parameter(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    key = first_number(YAML(typ="safe").load(text)["train"], "train")
    changed = set_by_dvc(text, key, "0.123", tmp_path)
    assert [line[0] for line in changed] == ["-", "+"]
    assert changed[1].endswith(f"{key.split('.')[-1]}: 0.123")


def test_what_this_project_writes_has_that_form_too(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(IN_BRACKETS, encoding="utf-8")
    expected = YAML(typ="safe").load(IN_BRACKETS)
    expected["a"]["list"] = ["y"]
    with editing(path) as content:
        replace_value(content["a"], "list", ["y"])
    text = path.read_text(encoding="utf-8")
    assert YAML(typ="safe").load(text) == expected
    assert all(text.count(comment) == 1 for comment in ("# first", "# about b", "# the last"))
    assert [line[0] for line in set_by_dvc(text, "a.one", "0.5", tmp_path)] == ["-", "+"]
    path.write_text(text, encoding="utf-8")
    with editing(path):
        pass
    assert path.read_text(encoding="utf-8") == text
