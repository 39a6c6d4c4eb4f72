"""DVC's cache on this machine, byte by byte: an object whose content is not what its name says is removed.

DVC trusts an object by its date; a disk that lost bits is found only by reading. A removed object comes back by
`dvc pull`, or by `dvc repro`, which makes it again.
"""

import hashlib
from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.repository.dvc import cache_folder


@click.command(name="cache")
def command() -> None:
    """Check every object of DVC's cache and remove corrupted ones."""
    objects = sorted(path for path in cache_folder().glob("??/*") if path.is_file())
    corrupted = [path for path in objects if not intact(path)]
    for path in corrupted:
        path.unlink()
        click.echo(f"removed {path.parent.name}{path.name}: its content has another hash")
    click.echo(f"{len(objects)} objects, {len(corrupted)} corrupted")
    if corrupted:
        raise OntimeError(
            "the cache had corrupted objects; get them back with `dvc pull`, or `dvc repro` makes them again"
        )


def intact(path: Path) -> bool:
    """Whether a cache object's MD5 is its name (a folder's listing has the ending .dir)."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return path.parent.name + path.name.removesuffix(".dir") == digest
