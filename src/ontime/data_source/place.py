"""Where a table of one's own lies: in the checkout as an input of the graph, or at an address that holds no secret."""

import shutil
from pathlib import Path
from typing import Any

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.datasets.content import file_name, files_of, without_secrets
from ontime.repository.dvc import show


def is_kept_outside(source: str) -> bool:
    """Whether the source is an address that can be committed: one without user, password and query."""
    return "://" in source and without_secrets(source) == source


def place_of(source: str) -> str:
    """The source as `params.yaml` names it: an address without secrets as it is, a file relative to the checkout.

    A file from outside the checkout, and one at an address that may hold a secret, is named as the copy of it.
    """
    if is_kept_outside(source):
        return source
    path, here = Path(source).resolve(), Path.cwd()
    if "://" not in source and path.is_relative_to(here):
        return str(path.relative_to(here))
    return str(paths.EXTERNAL / file_name(source))


def keep_source(source: str, stored: bytes) -> None:
    """Copy a file or a folder that the checkout cannot name to `data/external`, and track it by DVC."""
    kept = Path(place_of(source))
    if is_kept_outside(source) or ("://" not in source and kept.resolve() == Path(source).resolve()):
        return
    with replacing(kept) as temporary:
        if files := files_of(source):
            temporary.mkdir()
            for path in files:
                shutil.copyfile(path, temporary / path.name)
        else:
            temporary.write_bytes(stored)
    show("add", "--quiet", str(kept))


def check_place(source: str, graph: Any) -> None:
    """Refuse a file in a folder that the graph writes, where its next run would remove it, and a folder that has such.

    Args:
        graph: content of `dvc.yaml`.

    Raises:
        OntimeError: it is in such a folder.
    """
    if "://" in source:
        return
    path = Path(source).resolve()
    for owned in [str(paths.SCHEMA), *_written(graph)]:
        if Path(owned).resolve().is_relative_to(path):
            raise OntimeError(f"{source}: has {owned}, which the graph replaces; a table is a folder of its own")
        if path.is_relative_to(Path(owned).resolve()):
            raise OntimeError(
                f"{source}: in {owned}, which the graph replaces; move it, for example to {paths.EXTERNAL}"
            )


def _written(graph: Any) -> list[str]:
    """Folders and files that stages write; of a stage for each of several items, what their paths have in common."""
    found = []
    for stage in graph["stages"].values():
        content = stage.get("do", stage)
        for kind in ("outs", "metrics", "plots"):
            for output in content.get(kind, []):
                path = output if isinstance(output, str) else next(iter(output))
                found.append(path.split("${")[0].rstrip("/"))
    return found


def depend_on(graph: Any, before: str, after: str) -> None:
    """Make a file an input of the stage `ingest` in place of the one before, so that DVC sees another content.

    The content of an address is compared with its pinned hash when the stage runs.
    """
    inputs = graph["stages"]["ingest"]["deps"]
    if before in inputs:
        inputs.remove(before)
    if "://" not in after and after not in inputs:
        inputs.append(after)
