"""Stages and their order as `dvc.lock` has them: DVC wrote it with loops and templates resolved.

Reading it takes milliseconds, runs nothing and writes nothing, so that a scheduler may do it every minute. The proof of
a pull request refuses a lock that does not fit `dvc.yaml`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml


def needs(lock: Path) -> dict[str, set[str]]:
    """The stages that each stage needs, by its name; empty where no graph has run yet."""
    if not lock.exists():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # a subclass of the safe loader, in C
    stages: dict[str, Any] = yaml.load(lock.read_text(encoding="utf-8"), loader)["stages"]  # noqa: S506
    makers = {path: name for name, stage in stages.items() for path in _paths(stage, "outs")}
    return {
        name: {maker for path in _paths(stage, "deps") for maker in _makers(path, makers)}
        for name, stage in stages.items()
    }


def _paths(stage: Mapping[str, Any], kind: str) -> Iterator[PurePosixPath]:
    yield from (PurePosixPath(entry["path"]) for entry in stage.get(kind, ()))


def _makers(path: PurePosixPath, makers: Mapping[PurePosixPath, str]) -> Iterator[str]:
    """The stages that make a path, a folder around it or something in it."""
    yield from (name for out, name in makers.items() if path.is_relative_to(out) or out.is_relative_to(path))
