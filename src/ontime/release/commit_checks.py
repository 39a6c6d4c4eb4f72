"""What a commit must be before it is a version: its `dvc.lock` current, its outputs in the DVC remote.

In: a commit, which need not be checked out and whose data need not be here. It is looked at in a clone that shares
this repository's objects, with this checkout's DVC cache and remote.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.manifest import MANIFEST, check_contents, parse_manifest
from ontime.release.registry import SHORT
from ontime.repository.dvc import how_to_push
from ontime.repository.git import clone, elsewhere
from ontime.repository.lock_file import LOCK, committed_lock, outputs


def check_lock(commit: str) -> None:
    """Refuse a commit whose code, parameters or dependencies are not those that its lock was made of."""
    from dvc.exceptions import DvcException
    from dvc.repo.reproduce import plan_repro

    with _clone(commit) as repo:
        try:
            graph = repo.index.graph
            # what is locked is compared with what is in git and with what the stages before have locked; data that
            # is not here counts as unchanged
            with repo.lock:
                stale = [
                    stage.addressing.rpartition(":")[2]
                    for stage in plan_repro(graph)
                    if stage.changed(allow_missing=True, upstream=list(graph.successors(stage)))
                ]
        except DvcException as error:
            raise OntimeError(f"commit {commit[:SHORT]}: DVC cannot read its graph: {_line(error)}") from None
    if stale:
        raise OntimeError(
            f"commit {commit[:SHORT]}: {LOCK} is stale: {_few(stale)} would run; `dvc repro`, commit, register that"
        )


def check_remote(commit: str) -> None:
    """Refuse a commit of whose outputs the DVC remote lacks one, file by file."""
    with _clone(commit) as repo:
        if not repo.config["core"].get("remote"):
            raise OntimeError("no default DVC remote; add one, or leave it out with --no-remote")
        try:
            missing = repo.data_status(granular=True, not_in_remote=True, remote_refresh=True)["not_in_remote"]
        except Exception as error:  # whatever the storage's own library raises
            name = repo.config["core"]["remote"]
            raise OntimeError(f"DVC remote {name}: cannot be asked what it has: {_line(error)}") from None
    if missing:
        made = outputs(committed_lock(commit))
        lacking = {next((out for out in made if f"{name}/".startswith(f"{out}/")), name) for name in missing}
        # the last one in the alphabet pushes parts of folders as well
        how = max(how_to_push(path, missing) for path in lacking)
        raise OntimeError(f"commit {commit[:SHORT]}: not in the DVC remote: {_few(sorted(missing))}; run {how}")


def locked_champion(commit: str) -> str:
    """MD5 of the champion's folder as the commit's lock has it, without DVC's ending .dir."""
    md5 = outputs(committed_lock(commit)).get(str(paths.CHAMPION))
    if not md5:
        raise OntimeError(f"commit {commit[:SHORT]}: {LOCK} has no {paths.CHAMPION}")
    return md5.removesuffix(".dir")


def champion_files(commit: str) -> dict[str, bytes]:
    """The champion's files by name at a commit, from this checkout's cache or the DVC remote, as its lock says them.

    Raises:
        OntimeError: a file is nowhere, or is not what the lock says.
    """
    from dvc.api import DVCFileSystem

    wanted = locked_champion(commit)
    try:
        system = DVCFileSystem(str(Path.cwd()), rev=commit)
        found = system.find(str(paths.CHAMPION))
        files = {str(Path(name).relative_to(paths.CHAMPION)): system.read_bytes(name) for name in found}
    except Exception as error:  # whatever the storage's own library raises
        raise OntimeError(
            f"commit {commit[:SHORT]}: {paths.CHAMPION} is neither in DVC's cache nor in its remote: {_line(error)}"
        ) from None
    if folder_md5(files) != wanted:
        raise OntimeError(f"commit {commit[:SHORT]}: {paths.CHAMPION} in DVC is not what {LOCK} says (MD5 {wanted})")
    return files


def folder_md5(files: dict[str, bytes]) -> str:
    """The MD5 that DVC gives a folder: of the list of its files' paths and MD5s."""
    return folder_md5_of({name: _md5(content) for name, content in files.items()})


def folder_md5_of(hashes: Mapping[str, str]) -> str:
    """The same, from the files' MD5s by path."""
    listing = [{"md5": hashes[name], "relpath": name} for name in sorted(hashes)]
    return _md5(json.dumps(listing, sort_keys=True).encode())


def model_sha256(files: dict[str, bytes], name: str) -> str:
    """SHA-256 of model.onnx, once every file of the champion is what its manifest says.

    Args:
        name: of the artifact, which the manifest must have too.

    Raises:
        OntimeError: the manifest cannot be read or does not fit.
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
    """DVC's view of a commit, checked out in a clone without data."""
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


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
