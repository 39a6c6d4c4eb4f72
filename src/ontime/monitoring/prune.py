"""Remove the log's files of old days, and nothing that `ontime log compact` did not write.

Days are counted back from today by the clock, not from the newest day of the log, because one line of a clock that ran
ahead would make every other day old.
"""

from datetime import UTC, date, datetime, timedelta

import click

from ontime.common.errors import OntimeError
from ontime.monitoring.log_files import IDENTITY, LogFile, log_files


@click.command(name="prune")
@click.argument("target", metavar="OUTPUT")
@click.option("--keep-days", type=click.IntRange(min=1), required=True, help="Days that stay, today among them.")
def command(target: str, keep_days: int) -> None:
    """Remove the files in OUTPUT, a folder or an address, of days before the last so many.

    What `ontime monitor` kept of a day stays, and later days are compared with it as before.
    """
    removed, left = pruned(target, datetime.now(UTC).date() - timedelta(days=keep_days - 1))
    for file in left:
        click.echo(f"left: {target.rstrip('/')}/{file.name}: not a file of `ontime log compact`", err=True)
    click.echo(f"removed {len(removed)} files of days before the last {keep_days}: {target}")


def pruned(target: str, first_kept: date) -> tuple[list[LogFile], list[LogFile]]:
    """Remove files of days before one.

    Returns:
        Those that were removed, and those that have such a name and are something else.
    """
    removed, left = [], []
    for file in log_files(target):
        if file.day >= first_kept.isoformat():
            continue
        if _is_own(file):
            file.store.remove(file.name)
            removed.append(file)
        else:
            left.append(file)
    return removed, left


def _is_own(file: LogFile) -> bool:
    """Whether a file below the log's own folder has the columns that name a line."""
    folder = file.store.folder
    if folder is not None and not (folder / file.name).resolve().is_relative_to(folder.resolve()):
        return False
    try:
        return set(IDENTITY) <= set(file.read().columns)
    except OntimeError:
        return False
