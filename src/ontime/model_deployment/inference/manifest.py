"""`manifest.json`: what a champion's folder says of itself, typed, and the check that its files are those it names.

`export` writes it, in the order of the fields; everything that reads a champion reads it here.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ontime.common.errors import OntimeError
from ontime.common.files import sha256

MANIFEST, MODEL, VOCABULARY, GOLDEN = "manifest.json", "model.onnx", "vocabulary.json", "golden.json"
"""Files of a champion's folder."""


class _Record(BaseModel):
    # a later version of the project may say more
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", protected_namespaces=())


class File(_Record):
    """One file of the folder; `size` in bytes."""

    sha256: str
    size: int


class Feature(_Record):
    """One column of the model's matrix, and the value that explanations start from."""

    name: str
    type: Literal["number", "category"]
    may_be_missing: bool
    typical: int | float | str | None


class Manifest(_Record):
    """A champion: `model` is its family, `input` and `output` the tensors of its graph."""

    name: str
    model: str
    input: str
    output: str
    files: dict[str, File]
    features: list[Feature]
    page_features: list[str]
    threshold: float
    golden_tolerance: float
    training_data_sha256: str
    metrics: dict[str, dict[str, int | float]]
    packages: dict[str, str]

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the ONNX graph."""
        return self.files[MODEL].sha256

    def as_json(self) -> dict[str, Any]:
        """Plain content of `manifest.json`."""
        return self.model_dump()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a champion's folder.

    Raises:
        OntimeError: there is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(path.read_bytes(), path)
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `dvc pull`) first") from None


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """The manifest that the bytes are; `path` names them in an error.

    Raises:
        OntimeError: they are none.
    """
    try:
        manifest = Manifest.model_validate(json.loads(content))
        # a champion without them cannot be loaded
        for name in (MODEL, VOCABULARY, GOLDEN):
            manifest.files[name]
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise OntimeError(f"{path}: not a champion's manifest: {key or 'top'}: {first['msg'].lower()}") from None
    except KeyError as error:
        raise OntimeError(f"{path}: not a champion's manifest: files: no {error.args[0]}") from None
    except ValueError as error:
        raise OntimeError(f"{path}: not JSON: {error}") from None
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder that lacks a file of its manifest or holds other bytes.

    Raises:
        OntimeError: naming the file.
    """
    for name, file in manifest.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != file.sha256:
            raise OntimeError(f"{folder / name}: not what {MANIFEST} says; run `dvc checkout` or `dvc repro`")


def check_contents(files: Mapping[str, bytes], manifest: Manifest, folder: Path) -> None:
    """Refuse a champion whose files, by name, are not exactly those of its manifest.

    Raises:
        OntimeError: naming the file.
    """
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != MANIFEST}
    for name in sorted(found.keys() | manifest.files.keys()):
        if name not in manifest.files or found.get(name) != manifest.files[name].sha256:
            raise OntimeError(f"{folder / name}: not what {MANIFEST} says")
