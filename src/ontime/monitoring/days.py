"""What the daily checks share: options, files of the log, the exit status of an alarm, numbers as they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.monitoring.log import FILE

ALARM = 3
"""Exit status of a day with an alarm; 1 and 2 are those of errors."""


def day_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and the options of every daily check: day, log, model, model_version, output."""
    for decorate in (
        click.option("--output", type=click.Path(path_type=Path), default=Path("monitoring"), show_default=True),
        click.option("--model-version", required=True, help="The version that is looked at."),
        click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True),
        click.option(
            "--log", type=click.Path(path_type=Path), required=True, help="Folder that `ontime log compact` writes."
        ),
        click.argument("day", metavar="DAY"),
    ):
        function = decorate(function)
    return function


def files_by_day(log: Path, after: str, last: str) -> dict[str, list[Path]]:
    """The log's files of each day between two, oldest first, by the names of their folders."""
    found: dict[str, list[Path]] = {}
    for path in sorted(log.glob(f"model_version=*/day=*/{FILE}")):
        day = path.parent.name.partition("=")[2]
        if after < day <= last:
            found.setdefault(day, []).append(path)
    return dict(sorted(found.items()))


def kept(number: float) -> float:
    """A number with six digits, so that it is the same on every processor."""
    return float(f"{number:.6g}")
