"""New data for the graph: what `.dvc` files import is fetched anew, and a table's new content is pinned.

In: `params.yaml` and the `.dvc` files in git. Out: both, edited in place where the source has changed since. The graph
does not run; `dvc exp run` or `dvc repro` does that next.
"""

from pathlib import Path

import click

from ontime.common.params import PARAMS_FILE, load_section
from ontime.datasets.source import Data
from ontime.repository.dvc import show
from ontime.repository.git import listed_files
from ontime.repository.lock_file import is_import
from ontime.repository.yaml_files import editing


@click.command(name="refresh")
def command() -> None:
    """Take the data source's present content."""
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
    from ontime.datasets.table import read_source

    _, found = read_source(data.source)
    if found == pinned:
        click.echo(f"{data.source}: no new content")
        return
    with editing(PARAMS_FILE) as params:
        params["data"]["options"]["sha256"] = found
    click.echo(f"{data.source}: new content, pinned as {found}")
