"""Checks of a commit before it is registered: its `dvc.lock` is up to date, its outputs are in the DVC remote.

In: a commit. Neither the commit nor its data need be checked out: the checks run in a clone that shares this
repository's objects, with this checkout's DVC cache and remote.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontime.common import paths
from ontime.common.errors import OntimeError, one_line
from ontime.model_deployment.inference.manifest import MANIFEST, check_contents, parse_manifest
from ontime.release.registry import SHORT
from ontime.repository.dvc import how_to_push
from ontime.repository.git import clone, elsewhere
from ontime.repository.lock_file import LOCK, committed_lock, outputs
from ontime.repository.objects import folder_md5_of
from ontime.repository.pull import fetch_listings, fetched_files


def check_lock(commit: str) -> None:
    """Refuse a commit whose code, parameters or dependencies differ from those in its lock."""
    from dvc.exceptions import DvcException
    from dvc.repo.reproduce import plan_repro

    with _clone(commit) as repo:
        try:
            graph = repo.index.graph
            # the locked hashes are compared with git and with the locked outputs of earlier stages; data that is not
            # in this checkout counts as unchanged
            with repo.lock:
                stale = [
                    stage.addressing.rpartition(":")[2]
                    for stage in plan_repro(graph)
                    if stage.changed(allow_missing=True, upstream=list(graph.successors(stage)))
                ]
        except DvcException as error:
            raise OntimeError(f"commit {commit[:SHORT]}: DVC cannot read its graph: {one_line(error)}") from None
    if stale:
        raise OntimeError(
            f"commit {commit[:SHORT]}: {LOCK} is stale: {_few(stale)} would run; "
            "run `dvc repro`, commit, and register that commit"
        )


def check_remote(commit: str) -> None:
    """Refuse a commit if a file of its outputs is missing in the DVC remote."""
    fetch_listings(outputs(committed_lock(commit)))
    with _clone(commit) as repo:
        if not repo.config["core"].get("remote"):
            raise OntimeError("no default DVC remote; add one, or skip this check with --no-remote")
        try:
            missing = repo.data_status(granular=True, not_in_remote=True, remote_refresh=True)["not_in_remote"]
        except Exception as error:  # whatever the storage's own library raises
            name = repo.config["core"]["remote"]
            raise OntimeError(f"DVC remote {name}: cannot be listed: {one_line(error)}") from None
    if missing:
        locked = outputs(committed_lock(commit))
        incomplete = {next((out for out in locked if f"{name}/".startswith(f"{out}/")), name) for name in missing}
        # `ontime cache --push`, which sorts last, also pushes parts of folders
        how = max(how_to_push(path, missing) for path in incomplete)
        raise OntimeError(f"commit {commit[:SHORT]}: not in the DVC remote: {_few(sorted(missing))}; run {how}")


def locked_champion(commit: str) -> str:
    """MD5 of the champion's folder in the commit's lock, without DVC's suffix .dir."""
    md5 = outputs(committed_lock(commit)).get(str(paths.CHAMPION))
    if not md5:
        raise OntimeError(f"commit {commit[:SHORT]}: {LOCK} has no {paths.CHAMPION}")
    return md5.removesuffix(".dir")


def champion_files(commit: str) -> dict[str, bytes]:
    """The champion's files by name at a commit, from this checkout's cache or the DVC remote.

    Raises:
        OntimeError: a file is in neither of them, or differs from the lock.
    """
    locked_champion(commit)
    path = str(paths.CHAMPION)
    try:
        files = fetched_files({path: outputs(committed_lock(commit))[path]})
    except OntimeError as error:
        raise OntimeError(f"commit {commit[:SHORT]}: {error}") from None
    return {str(Path(name).relative_to(path)): found.read_bytes() for name, found in files.items()}


def folder_md5(files: dict[str, bytes]) -> str:
    """The MD5 that DVC gives a folder: of the list of its files' paths and MD5s."""
    return folder_md5_of({name: _md5(content) for name, content in files.items()})


def model_sha256(files: dict[str, bytes], name: str) -> str:
    """Check every file of the champion against its manifest, and return the SHA-256 of model.onnx.

    Args:
        name: of the artifact, which must be the manifest's name.

    Raises:
        OntimeError: the manifest cannot be read, or a file or the name differs from it.
    """
    path = paths.CHAMPION / MANIFEST
    if MANIFEST not in files:
        raise OntimeError(f"{path}: not in DVC")
    manifest = parse_manifest(files[MANIFEST], path)
    if manifest.name != name:
        raise OntimeError(f"{path}: of {manifest.name}, not of {name}")
    check_contents(files, manifest, paths.CHAMPION)
    return manifest.model_sha256


@contextmanager
def _clone(commit: str) -> Iterator[Any]:
    """A DVC repository of the commit, in a temporary clone without data."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory(prefix="ontime-release-") as top:
        copy = Path(top) / "clone"
        clone(copy, commit, "--shared")
        with Repo() as here:
            config = {
                "core": {"site_cache_dir": top},
                "remote": here.config["remote"],
                "cache": {"dir": here.cache.local_cache_dir},
            }
            if here.config["core"].get("remote"):
                config["core"]["remote"] = here.config["core"]["remote"]
        with elsewhere(), Repo(str(copy), config=config) as repo:
            yield repo


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
