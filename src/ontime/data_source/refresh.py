"""Update the data of the graph: fetch the imports of `.dvc` files again, and pin a table's new content.

In: `params.yaml` and the `.dvc` files in git. Out: both, edited in place if the source has changed. The graph is not
run; run `dvc exp run` or `dvc repro` next.
"""

from pathlib import Path

import click

from ontime.common.params import load_section
from ontime.datasets.source import Data
from ontime.repository.dvc import show
from ontime.repository.git import listed_files
from ontime.repository.lock_file import is_import
from ontime.repository.pinned import pin_table


@click.command(name="refresh")
def command() -> None:
    """Fetch and pin the current content of the data source."""
    imported = sorted(name for name in listed_files(Path.cwd()) if name.endswith(".dvc") and is_import(Path(name)))
    for name in imported:
        show("update", "--quiet", name)
        click.echo(f"{name}: up to date")
    data = load_section("data", Data)
    pinned = data.options.get("sha256")
    if pinned is None:
        if not imported:
            click.echo(f"{data.source}: pinned with its package; nothing to fetch")
        return
    from ontime.datasets.content import digest_of

    current = digest_of(data.source)
    if current == pinned:
        click.echo(f"{data.source}: no new content")
        return
    pin_table(data.source, current)
    click.echo(f"{data.source}: new content, pinned as {current}")
