"""Keep what the days' checks write in a bucket, for a job that begins in an empty folder each day.

In and out: the files of the days, `CHECK/DAY.json` and `CHECK/days/DAY.json`, and the last day's report, pictures and
metrics.
"""

import re
from pathlib import Path

import click

from ontime.common.files import replacing
from ontime.monitoring.store import Store

OF_A_DAY = re.compile(r"[a-z]{1,20}(/days)?/\d{4}-\d\d-\d\d\.json")
OF_THE_LAST = ("report.md", "inputs.png", "quality.png", "day.prom")
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(name="fetch")
@click.argument("address")
@click.argument("output", type=FOLDER)
def fetch(address: str, output: Path) -> None:
    """Copy the files of the days from ADDRESS, a folder or such as s3://BUCKET/PREFIX, to the folder OUTPUT."""
    store, count = Store(address), 0
    for name in filter(OF_A_DAY.fullmatch, store.names(depth=3)):
        content = store.read(name)
        if content is not None:
            with replacing(output / name) as temporary:
                temporary.write_bytes(content)
            count += 1
    click.echo(f"{address}: {count} files of days")


@click.command(name="keep")
@click.argument("output", type=FOLDER)
@click.argument("address")
def keep(output: Path, address: str) -> None:
    """Copy what is new or changed in the folder OUTPUT to ADDRESS."""
    store, count = Store(address), 0
    names = [str(path.relative_to(output)) for path in sorted(output.rglob("*")) if path.is_file()]
    for name in names:
        if OF_A_DAY.fullmatch(name) or name in OF_THE_LAST:
            content = (output / name).read_bytes()
            if store.read(name) != content:
                store.write(name, content)
                count += 1
    click.echo(f"{address}: {count} files written")
