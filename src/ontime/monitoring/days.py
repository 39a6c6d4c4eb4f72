"""What the daily checks share: options, files of the log, the exit status of an alarm, numbers as they are kept."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.monitoring.log import FILE

ALARM = 3
"""Exit status of a day with an alarm; 1 and 2 are those of errors."""


@dataclass(frozen=True)
class Day:
    """The day that is looked at, and where its files are."""

    day: str
    log: Path
    model: Path
    model_version: str
    output: Path


@dataclass(frozen=True)
class Finding:
    """Why a check raised an alarm; the cause is the same text on each day that has it."""

    cause: str
    found: float
    limit: float


@dataclass(frozen=True)
class Checked:
    """What a check says of a day: its alarms, worst first, and a summary in Markdown."""

    check: str
    findings: list[Finding]
    summary: str


def day_options(function: Callable[..., None]) -> Callable[..., None]:
    """Call a command with a `Day`, of the argument and the options that every daily check has."""

    @functools.wraps(function)
    def command(day: str, log: Path, model: Path, model_version: str, output: Path, **others: Any) -> None:
        function(Day(day, log, model, model_version, output), **others)

    decorated: Callable[..., None] = command
    for decorate in (
        click.option("--output", type=click.Path(path_type=Path), default=Path("monitoring"), show_default=True),
        click.option("--model-version", required=True, help="The version that is looked at."),
        click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True),
        click.option(
            "--log", type=click.Path(path_type=Path), required=True, help="Folder that `ontime log compact` writes."
        ),
        click.argument("day", metavar="DAY"),
    ):
        decorated = decorate(decorated)
    return decorated


def say(checked: Checked) -> None:
    """Print what a check says, and end the command with status 3 if it raised an alarm."""
    click.echo(checked.summary)
    if checked.findings:
        click.get_current_context().exit(ALARM)


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
