"""Hash every object of DVC's local cache and remove those whose content does not match their name.

DVC trusts an object by its modification time, so only reading it detects disk corruption. `ontime pull` fetches a
removed object again, or `dvc repro` recreates it.
"""

import click

from ontime.common.errors import OntimeError
from ontime.common.files import is_cache_object
from ontime.repository.dvc import cache_folder
from ontime.repository.push import push_each


@click.command(name="cache")
@click.option(
    "--push", is_flag=True, help="Then push every object that the remote lacks, also in folders that it has in part."
)
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
            "the cache had corrupted objects; get them back with `ontime pull`, or recreate them with `dvc repro`"
        )
    if push:
        click.echo(f"{push_each()} objects pushed")
