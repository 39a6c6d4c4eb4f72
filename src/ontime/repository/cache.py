"""DVC's cache on this machine, byte by byte: an object whose content is not what its name says is removed.

DVC trusts an object by its date; a disk that lost bits is found only by reading. A removed object comes back by
`dvc pull`, or by `dvc repro`, which makes it again.
"""

import click

from ontime.common.errors import OntimeError
from ontime.common.files import is_cache_object
from ontime.repository.dvc import cache_folder, push_each


@click.command(name="cache")
@click.option("--push", is_flag=True, help="Then push each object that the remote lacks, also where it has a part.")
def command(push: bool) -> None:
    """Check every object of DVC's cache and remove corrupted ones."""
    objects = sorted(path for path in cache_folder().glob("??/*") if path.is_file())
    corrupted = [path for path in objects if not is_cache_object(path)]
    for path in corrupted:
        path.unlink()
        click.echo(f"removed {path.parent.name}{path.name}: its content does not match its hash")
    click.echo(f"{len(objects)} objects, {len(corrupted)} corrupted")
    if corrupted:
        raise OntimeError(
            "the cache had corrupted objects; get them back with `dvc pull`, or `dvc repro` makes them again"
        )
    if push:
        click.echo(f"{push_each()} objects pushed")
