"""Reads `dvc.lock` and `.dvc` files: the dependencies and outputs of each stage, and data tracked without a stage.

A lock is read from the checkout or from a commit. An incomplete or conflicted file is a one-line error.
"""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.repository.git import content_of

LOCK = Path("dvc.lock")
SCHEMA = "2.0"
MARKER = "<<<<<<< "
"""Begins the line with which git begins a conflict."""

Stages = Mapping[str, Mapping[str, Any]]
"""By name: `cmd`, `deps` and `outs` with `path` and `md5`, and `params` by file where there are any."""


def read_lock(path: Path = LOCK) -> Stages:
    """The stages of a lock file, each after those whose outputs it reads.

    Raises:
        OntimeError: the file is absent, has conflict markers, or is no lock.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OntimeError(f"{path.name}: not found; run `dvc repro` first") from None
    except UnicodeDecodeError:
        text = ""
    return ordered(text, path.name)


def committed_lock(commit: str) -> Stages:
    """The stages of a commit's lock, in the same order; none where it has no lock."""
    text = content_of(commit, LOCK)
    return ordered(text, f"{LOCK} of {commit[:12]}") if text else {}


def ordered(text: str, source: str = str(LOCK)) -> Stages:
    """The stages in a lock's text, each after those whose outputs it reads.

    Raises:
        OntimeError: it has conflict markers or is no lock; the line begins with `source`.
    """
    if has_markers(text):
        raise OntimeError(f"{source}: has merge conflict markers; resolve it with `ontime lock`")
    content = parsed(text)
    if content is None:
        raise OntimeError(f"{source}: not a lock file; restore it with git, or remove it and run `dvc repro`")
    stages = {
        name: {**stage, **{key: stage.get(key) or [] for key in ("deps", "outs")}} for name, stage in content.items()
    }
    made_by = {out["path"]: name for name, stage in stages.items() for out in stage["outs"]}
    order = TopologicalSorter(
        {
            name: [made_by[dep["path"]] for dep in stage["deps"] if dep["path"] in made_by]
            for name, stage in stages.items()
        }
    )
    try:
        return {name: stages[name] for name in order.static_order()}
    except CycleError:
        raise OntimeError(f"{source}: its stages form a cycle; remove it and run `dvc repro`") from None


def has_markers(text: str) -> bool:
    """Whether a merge left its conflict in a text."""
    return f"\n{MARKER}" in f"\n{text}"


def parsed(text: str) -> dict[str, Any] | None:
    """The stages in a lock's text as they are there; None if it is no lock."""
    try:
        stages = dict(YAML(typ="safe").load(text)["stages"])
        for stage in stages.values():
            for entry in [*(stage.get("deps") or ()), *(stage.get("outs") or ())]:
                str(entry["path"])
    except (YAMLError, TypeError, KeyError, AttributeError, ValueError):
        return None
    return stages


def write_lock(stages: Mapping[str, Any]) -> None:
    """Write a lock with these stages."""
    with replacing(LOCK) as temporary:
        YAML().dump({"schema": SCHEMA, "stages": stages}, temporary)


def outputs(stages: Stages) -> dict[str, str]:
    """MD5 of each path that a stage makes, a folder's with the ending .dir."""
    return {out["path"]: str(out.get("md5", "")) for stage in stages.values() for out in stage["outs"]}


def tracked(path: Path) -> dict[str, str]:
    """MD5 of each path, from the top folder, that a `.dvc` file tracks.

    Raises:
        OntimeError: neither `dvc add` nor `dvc import` wrote the file.
    """
    content = _dvc_file(path)
    try:
        check_entries(content["outs"], str(path))
        if content.get("wdir", ".") != ".":
            raise OntimeError(f"{path}: its wdir is not its own folder; move the file to the data that it tracks")
        return {str(path.parent / out["path"]): str(out["md5"]) for out in content["outs"]}
    except (TypeError, KeyError, AttributeError):
        raise _no_dvc_file(path) from None


def check_entries(outs: Iterable[Mapping[str, Any]], source: str) -> None:
    """Refuse outputs that list their files here instead of in an object, as with DVC's cloud versioning."""
    for out in outs:
        if out.keys() & {"files", "cloud"}:
            raise OntimeError(f"{source}: lists the files of {out['path']} itself; track it without cloud versioning")


def is_import(path: Path) -> bool:
    """Whether a `.dvc` file says where its data comes from."""
    return "deps" in _dvc_file(path)


def _dvc_file(path: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError):
        raise _no_dvc_file(path) from None
    return content if isinstance(content, dict) else {}


def _no_dvc_file(path: Path) -> OntimeError:
    return OntimeError(f"{path}: not a file that `dvc add` or `dvc import` wrote")
