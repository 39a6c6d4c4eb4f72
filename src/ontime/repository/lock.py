"""A `dvc.lock` with merge conflict markers, made whole again.

The lock follows from code, parameters and data, which git merges; so the two sides are put together stage by stage,
ours first, and `dvc repro` then runs what neither side fits (or takes it from the run cache).
"""

from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.errors import OntimeError
from ontime.files import replacing

LOCK = Path("dvc.lock")


@click.command(name="lock")
def command() -> None:
    """Resolve merge conflicts in dvc.lock; run `dvc repro` afterwards."""
    try:
        text = LOCK.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OntimeError(f"{LOCK}: not found; run `dvc repro`") from None
    if "<<<<<<< " not in text:
        click.echo(f"{LOCK}: no conflict markers, nothing changed")
        return
    ours, theirs = sides(text)
    yaml = YAML()
    with replacing(LOCK) as temporary:
        yaml.dump(merge(_stages(ours), _stages(theirs)), temporary)
    click.echo(f"{LOCK}: resolved; now run `dvc repro` and commit")


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
                raise OntimeError(
                    f"{LOCK}: conflict markers do not match up; take one side: git checkout --ours {LOCK}"
                )
            part = following
        else:
            if part in ("both", "ours"):
                kept[0].append(line)
            if part in ("both", "theirs"):
                kept[1].append(line)
    if part != "both":
        raise OntimeError(f"{LOCK}: conflict markers do not match up; take one side: git checkout --ours {LOCK}")
    return "\n".join(kept[0]) + "\n", "\n".join(kept[1]) + "\n"


def merge(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """One lock with every stage of either side, ours where both have it."""
    return {"schema": "2.0", "stages": {**theirs, **ours}}


def _stages(text: str) -> dict[str, Any]:
    try:
        stages = dict(YAML(typ="safe", pure=True).load(text)["stages"])
    except (YAMLError, TypeError, KeyError) as error:
        raise OntimeError(f"{LOCK}: a side of the conflict is no lock; take one: git checkout --ours {LOCK}") from error
    return stages
