"""Sections of `params.yaml` by themselves: files that are none, sections that are not there, places of mistakes."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.params import check, load_section, read_params
from ontime.datasets.schema import TableSchema
from ontime.model_evaluation.select import Select


def test_a_misspelt_key_inside_a_list_element_is_named() -> None:
    schema = {"fields": [{"name": "size", "type": "number", "constraints": {"minimun": 1}}]}
    with pytest.raises(
        OntimeError, match=r"^here: fields\.0\.constraints\.minimun: unknown key; did you mean minimum\?$"
    ):
        check(TableSchema, schema, "here")


@pytest.mark.parametrize(
    "text", [b"data: [unclosed", b"a: 1\na: 2\n", b"\ttab: 1", b"data: \xff\xfe", b"data: !!python/object:os.system {}"]
)
def test_a_file_that_is_not_yaml_is_one_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(OntimeError, match="not YAML") as error:
        read_params(path)
    assert str(error.value).startswith(f"{path}: not YAML: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text\n"])
def test_a_file_without_sections_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(
        OntimeError, match=r"params\.yaml: has no sections; expected `name:` and indented keys$"
    ) as error:
        read_params(path)
    assert "\n" not in str(error.value)
    assert ": :" not in str(error.value)


def test_an_absent_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"params\.yaml: not found; run this in the repository's top folder"):
        read_params(tmp_path / "params.yaml")


def test_a_section_that_is_not_there_suggests_the_one_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("selekt: {metric: roc_auc}\n")
    with pytest.raises(OntimeError, match=r"params\.yaml: select: missing; is selekt meant\?$"):
        load_section("select", Select, path)
    path.write_text("data: {}\nengine: {}\n")
    with pytest.raises(OntimeError, match=r"params\.yaml: select: missing; the file has data, engine$"):
        load_section("select", Select, path)


def test_a_section_is_read_whatever_the_others_hold(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("split: nonsense\nselect: {metric: log_loss}\nmore: 1\n")
    assert load_section("select", Select, path).metric == "log_loss"
