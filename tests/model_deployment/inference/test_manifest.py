"""A manifest is read whole or refused in one line, and names only files of its own folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256
from ontime.model_deployment.inference.manifest import (
    GOLDEN,
    MANIFEST,
    MODEL,
    VOCABULARY,
    Manifest,
    check_contents,
    check_files,
    parse_manifest,
    read_manifest,
)

FILE = {"sha256": "0" * 64, "size": 1}


@pytest.fixture
def content(folder: Path) -> Any:
    """The fork's manifest as plain JSON."""
    return read_json(folder / MANIFEST)


def refusal(content: Any) -> str:
    """The one line that a manifest with this content is refused with."""
    with pytest.raises(OntimeError) as refused:
        parse_manifest(content if isinstance(content, bytes) else json.dumps(content).encode(), Path(MANIFEST))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_export_wrote_is_read_and_written_again_unchanged(folder: Path, content: Any) -> None:
    manifest = read_manifest(folder)
    assert manifest.as_json() == content
    assert list(manifest.as_json()) == list(content)
    assert manifest.model_sha256 == sha256(folder / MODEL)


@pytest.mark.parametrize("key", [name for name, field in Manifest.model_fields.items() if field.is_required()])
def test_a_manifest_that_lacks_a_key_is_refused_with_the_key(content: Any, key: str) -> None:
    del content[key]
    assert refusal(content) == f"manifest.json: not a champion's manifest: {key}: field required"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": 5}, "name: input should be a valid string"),
        ({"threshold": "0.5"}, "threshold: input should be a valid number"),
        ({"threshold": True}, "threshold: input should be a valid number"),
        ({"golden_tolerance": float("nan")}, "golden_tolerance: input should be a finite number"),
        ({"golden_tolerance": float("inf")}, "golden_tolerance: input should be a finite number"),
        ({"features": {}}, "features: input should be a valid list"),
        ({"features": []}, "features: list should have at least 1 item after validation, not 0"),
        (
            {"features": [{"name": "a", "type": "date"}]},
            "features.0.type: input should be 'number', 'category' or 'text'",
        ),
        ({"metrics": {"test": {"rows": "many"}}}, "metrics.test.rows.int: input should be a valid integer"),
        ({"files": [MODEL]}, "files: input should be a valid dictionary"),
        ({"files": {}}, "files: model.onnx is missing"),
        ({"files": {MODEL: FILE, VOCABULARY: FILE}}, "files: golden.json is missing"),
        ({"files": {MODEL: {"size": 1}}}, "files.model.onnx.sha256: field required"),
        ({"files": {MODEL: FILE | {"size": -1}}}, "files.model.onnx.size: input should be greater than or equal to 0"),
        ({"files": {MODEL: FILE | {"sha256": "0" * 63}}}, "files.model.onnx.sha256: string should match pattern"),
        ({"files": {MODEL: FILE | {"sha256": "A" * 64}}}, "files.model.onnx.sha256: string should match pattern"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_key(content: Any, change: dict[str, Any], reason: str) -> None:
    assert refusal(content | change).startswith(f"manifest.json: not a champion's manifest: {reason}")


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "..", ".", "", "a/model.onnx", "model.onnx/", "model.onnx\0"]
)
def test_a_file_outside_the_folder_is_refused(content: Any, name: str) -> None:
    content["files"][name] = FILE
    assert refusal(content).endswith("is not the name of a file in the folder")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"{'name': 1}"])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    assert refusal(content).startswith("manifest.json: not JSON: ")


@pytest.mark.parametrize("content", [b"null", b"[]", b'"manifest"', b"5"])
def test_json_that_is_not_an_object_is_refused(content: bytes) -> None:
    assert refusal(content).startswith("manifest.json: not a champion's manifest: top level: ")


def test_a_key_of_a_later_version_is_ignored(content: Any) -> None:
    later = parse_manifest(json.dumps(content | {"licence": "MIT"}).encode(), Path(MANIFEST))
    assert later.as_json() == content


def test_a_folder_without_a_manifest_is_refused(folder: Path) -> None:
    for absent in (folder / "none", folder / MODEL):
        with pytest.raises(
            OntimeError, match=r"manifest\.json: not found; run `dvc repro` \(or `ontime pull`\) first$"
        ):
            read_manifest(absent)


def test_the_files_of_the_manifest_are_accepted(folder: Path) -> None:
    check_files(folder, read_manifest(folder))


@pytest.mark.parametrize("name", [MODEL, VOCABULARY, GOLDEN, "MODEL_CARD.md"])
def test_a_missing_or_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    manifest, content = read_manifest(folder), (folder / name).read_bytes()
    for changed in (content[:-1], content + b"\0", bytes([content[0] ^ 1]) + content[1:], b"", None):
        (folder / name).unlink(missing_ok=True)
        if changed is not None:
            (folder / name).write_bytes(changed)
        with pytest.raises(OntimeError, match=rf"champion/{name}: not what manifest\.json says; run `dvc checkout`"):
            check_files(folder, manifest)


@pytest.mark.parametrize("name", ["extra.txt", ".gitignore", "folder/extra.txt"])
def test_an_extra_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("more")
    with pytest.raises(OntimeError, match=rf"champion/{name}: not what manifest\.json says"):
        check_files(folder, read_manifest(folder))


def test_contents_are_compared_as_files_are(folder: Path) -> None:
    manifest = read_manifest(folder)
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    check_contents(contents, manifest, folder)
    without = {name: content for name, content in contents.items() if name != GOLDEN}
    for changed, name in (
        (contents | {"extra": b""}, "extra"),
        (contents | {MODEL: b"other"}, MODEL),
        (without, GOLDEN),
    ):
        with pytest.raises(OntimeError, match=rf"champion/{name}: not what manifest\.json says$"):
            check_contents(changed, manifest, folder)
