"""Repair DVC's lock files after a merge conflict or a killed process.

DVC writes `dvc.lock` and its list of running processes in place, so a kill can leave an incomplete file. Then
`dvc.lock` is restored from the last commit, and the list, which is useless once its processes have ended, is removed.

A `dvc.lock` with merge conflict markers is merged stage by stage, ours first. It is derived from code, parameters and
data, which git merges; `dvc repro` then runs the stages whose entry fits neither side (or takes them from the run
cache).

After a run, `--compare` reports outputs that differ from the last commit although no input does: they depend on the
machine, or the stage is not reproducible.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.repository.git import bytes_of
from ontime.repository.lock_file import (
    LOCK,
    Stages,
    committed_lock,
    has_markers,
    outputs,
    parsed,
    read_lock,
    write_lock,
)

RUNNING = Path(".dvc/tmp/rwlock")


@click.command(name="lock")
@click.option("--compare", is_flag=True, help="After `dvc repro`: name outputs that changed though no input did.")
def command(compare: bool) -> None:
    """Repair dvc.lock after a merge conflict or a kill; run `dvc repro` afterwards."""
    if compare:
        for line in unexplained(committed_lock("HEAD"), read_lock()):
            click.echo(line, err=True)
        return
    if RUNNING.exists() and not _is_json(RUNNING):
        RUNNING.unlink()
        click.echo(f"{RUNNING}: half written, removed")
    try:
        text = LOCK.read_text(encoding="utf-8")
    except FileNotFoundError:
        click.echo(f"{LOCK}: does not exist yet, nothing to repair")
        return
    if not has_markers(text):
        if parsed(text) is not None:
            click.echo(f"{LOCK}: in order")
        else:
            restore()
        return
    ours, theirs = sides(text)
    write_lock(merge(_stages(ours), _stages(theirs)))
    click.echo(f"{LOCK}: resolved; now run `dvc repro` and commit")


def unexplained(committed: Stages, made: Stages) -> Iterator[str]:
    """A line for each output whose hash differs from the committed one, of stages whose inputs are the same.

    Stages with a changed input are skipped, because their outputs are expected to change.
    """
    stages = [name for name in made if name in committed and _inputs(made[name]) == _inputs(committed[name])]
    for name in stages:
        before, after = (outputs({name: lock[name]}) for lock in (committed, made))
        for path in sorted(path for path in after if after[path] != before.get(path)):
            yield (
                f"warning: stage {name}: {path} is not what the last commit's {LOCK} says, though no input changed; "
                f"run `ontime verify --stage {name}` to see whether it is reproducible here; "
                f"to keep it, commit {LOCK}; "
                "to undo it: `ontime drop`"
            )


def _inputs(stage: Mapping[str, Any]) -> tuple[Any, ...]:
    return stage.get("cmd"), {dep["path"]: dep.get("md5") for dep in stage["deps"]}, stage.get("params")


def restore() -> None:
    """Restore `dvc.lock` from the last commit, or remove it if the commit has none."""
    committed = bytes_of("HEAD", LOCK)
    if committed is None:
        LOCK.unlink()
        click.echo(f"{LOCK}: half written, removed; now run `dvc repro`")
        return
    with replacing(LOCK) as temporary:
        temporary.write_bytes(committed)
    click.echo(f"{LOCK}: half written, restored from the last commit; now run `dvc repro`")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def sides(text: str) -> tuple[str, str]:
    """Both sides of a text with git's conflict markers; a common ancestor (diff3 style) is left out.

    Raises:
        OntimeError: the markers do not match up.
    """
    kept: tuple[list[str], list[str]] = ([], [])
    part = "both"
    after = {"<<<<<<< ": ("both", "ours"), "||||||| ": ("ours", "base"), ">>>>>>> ": ("theirs", "both")}
    for line in text.splitlines():
        marker = next((mark for mark in after if line.startswith(mark)), None)
        if line == "=======" and part in ("ours", "base"):
            part = "theirs"
        elif marker:
            expected, following = after[marker]
            if part != expected:
                raise OntimeError(f"{LOCK}: conflict markers are unbalanced; take one side: git checkout --ours {LOCK}")
            part = following
        else:
            if part in ("both", "ours"):
                kept[0].append(line)
            if part in ("both", "theirs"):
                kept[1].append(line)
    if part != "both":
        raise OntimeError(f"{LOCK}: conflict markers are unbalanced; take one side: git checkout --ours {LOCK}")
    return "\n".join(kept[0]) + "\n", "\n".join(kept[1]) + "\n"


def merge(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Every stage of either side, ours where both have it."""
    return {**theirs, **ours}


def _stages(text: str) -> dict[str, Any]:
    stages = parsed(text)
    if stages is None:
        raise OntimeError(f"{LOCK}: one side of the conflict is not a lock file; take one: git checkout --ours {LOCK}")
    return stages
