"""The page's file is read whole or refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.inference.page import PAGE, Page, read_page

Change = Callable[[str, Callable[[Any], Any]], None]


def test_what_export_wrote_is_read_and_written_again_unchanged(folder: Path) -> None:
    content = read_json(folder / PAGE)
    page = read_page(folder, read_manifest(folder))
    assert page.as_json() == content
    assert list(page.as_json()) == list(content)


@pytest.mark.parametrize("key", Page.model_fields)
def test_a_page_that_lacks_a_key_is_refused_with_the_key(folder: Path, change_json: Change, key: str) -> None:
    change_json(PAGE, lambda content: {name: value for name, value in content.items() if name != key})
    with pytest.raises(OntimeError, match=rf"page\.json: not a page: {key}: field required$"):
        read_page(folder, read_manifest(folder))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"asked": ["colour"]}, "not a page: top level: asked: no feature colour"),
        ({"asked": "weight"}, "not a page: asked: input should be a valid list"),
        ({"starts": []}, "not a page: starts: list should have at least 1 item"),
        ({"starts": [{"weight": 1}]}, "not a page: top level: starts.0: its features are not those of the page"),
        ({"sums": [{"feature": "weight", "of": ["depot"]}]}, "not a page: top level: weight is no feature, or is set"),
        (
            {"asked": ["depot"], "sums": [{"feature": "weight", "of": ["fragile"]}]},
            "not a page: top level: weight follows fragile, which is not set before it",
        ),
        (
            {"asked": ["depot"], "follows": [{"feature": "weight", "of": ["depot"], "values": [["a"]]}]},
            "not a page: top level: weight: a row of its values",
        ),
        ({"texts": {"question": "?"}}, "not a page: texts.event: field required"),
    ],
)
def test_a_page_that_contradicts_itself_is_refused(
    folder: Path, change_json: Change, change: dict[str, Any], reason: str
) -> None:
    change_json(PAGE, lambda content: content | change)
    with pytest.raises(OntimeError) as refused:
        read_page(folder, read_manifest(folder))
    assert str(refused.value).startswith(f"{folder / PAGE}: {reason}")
    assert "\n" not in str(refused.value)


def test_another_models_page_is_refused(folder: Path, change_json: Change) -> None:
    change_json("manifest.json", lambda content: content | {"features": content["features"][::-1]})
    with pytest.raises(OntimeError, match=r"page\.json: its features are not those of the model$"):
        read_page(folder, read_manifest(folder))


def test_a_folder_without_a_page_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    (folder / PAGE).unlink()
    with pytest.raises(OntimeError, match=r"page\.json: not found; run `dvc repro` \(or `ontime pull`\) first$"):
        read_page(folder, manifest)
