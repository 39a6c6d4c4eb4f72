"""`manifest.json`: what a champion's folder says of itself, as a typed record, and the check of the files it names.

`export` writes it, in the order of the fields; everything that reads a champion reads it here.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ontime.common.errors import OntimeError
from ontime.common.files import sha256
from ontime.tasks.answers import Answer, answer_of
from ontime.tasks.names import TaskName

MANIFEST, MODEL, VOCABULARY, GOLDEN = "manifest.json", "model.onnx", "vocabulary.json", "golden.json"
"""Files of a champion's folder."""


def _plain_name(name: str) -> str:
    # a path could lead out of the folder
    if name in ("", ".", "..") or PurePosixPath(name).name != name or "\0" in name:
        raise ValueError(f"{name!r:.80} is not the name of a file in the folder")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    # a key that a later version of the project adds is ignored
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False, protected_namespaces=())


class File(_Record):
    """One file of the folder; `size` in bytes."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Feature(_Record):
    """One feature of the model, and the value that explanations start from."""

    name: str
    type: Literal["number", "category", "text"]
    may_be_missing: bool
    typical: int | float | str | None


class Manifest(_Record):
    """A champion: `task` is what it answers, `model` its family, `input` and `output` the tensors of its graph.

    `classes` are what the columns of its output stand for, if it says the probability of several classes.

    `weight` is the column of what each row counts in the metrics, if they do not count the same.

    The metrics are its own on test; on validation, whose rows it was fitted on if their hash is here, those of the same
    training without them.
    """

    name: str
    model: str
    input: str
    output: str
    files: dict[FileName, File]
    features: Annotated[list[Feature], Field(min_length=1)]
    threshold: float | None = None
    golden_tolerance: float
    training_data_sha256: str
    validation_data_sha256: str | None = None
    metrics: dict[str, dict[str, int | float]]
    packages: dict[str, str]
    task: TaskName = "binary"
    classes: list[str] = []
    weight: str | None = None

    @model_validator(mode="after")
    def _answerable(self) -> "Manifest":
        try:
            output = self.answer.output
        except ValueError as error:
            raise ValueError(f"{'classes' if self.task == 'multiclass' else 'threshold'}: {error}") from None
        if self.output != output:
            raise ValueError(f"output: a {self.task} model has {output}, found {self.output}")
        return self

    @property
    def answer(self) -> Answer:
        """What its task makes of the graph's numbers."""
        return answer_of(self.task, self.threshold, self.classes)

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the ONNX graph."""
        return self.files[MODEL].sha256

    def as_json(self) -> dict[str, Any]:
        """The content of `manifest.json`; without a task it is of an event, as before there were others."""
        left_out = {"threshold"} if self.threshold is None else {"task"}
        left_out |= {name for name in ("classes", "weight") if not getattr(self, name)}
        return self.model_dump(exclude=left_out)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a champion's folder.

    Raises:
        OntimeError: there is none, or the file is not a manifest.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError):
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first") from None


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """The manifest in a file's content.

    Args:
        path: the file, for errors.

    Raises:
        OntimeError: the content is not a manifest; names the key.
    """
    try:
        manifest = Manifest.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        reason = str(first.get("ctx", {}).get("error", first["msg"].lower()))
        raise OntimeError(f"{path}: not a champion's manifest: {key or 'top level'}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise OntimeError(f"{path}: not JSON: {error}") from None
    for name in (MODEL, VOCABULARY, GOLDEN):
        if name not in manifest.files:
            raise OntimeError(f"{path}: not a champion's manifest: files: {name} is missing")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder whose files are not exactly those of its manifest.

    Raises:
        OntimeError: names the file that is missing, extra or changed.
    """
    found = {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}
    _compare(found, manifest, folder, "; run `dvc checkout` or `dvc repro`")


def check_contents(files: Mapping[str, bytes], manifest: Manifest, folder: Path) -> None:
    """Refuse contents by name, as a git commit or an image holds them, that are not exactly those of the manifest.

    Raises:
        OntimeError: names the file that is missing, extra or changed.
    """
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _compare(found, manifest, folder, "")


def _compare(found: Mapping[str, str], manifest: Manifest, folder: Path, remedy: str) -> None:
    """Compare SHA-256 by name."""
    for name in sorted((found.keys() | manifest.files.keys()) - {MANIFEST}):
        if name not in manifest.files or found.get(name) != manifest.files[name].sha256:
            raise OntimeError(f"{folder / name}: not what {MANIFEST} says{remedy}")
