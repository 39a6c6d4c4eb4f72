"""What the daily checks share: options and the exit status of an alarm."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ontime.common import paths

ALARM = 3
"""Exit status of a day with an alarm; 1 and 2 are those of errors."""


@dataclass(frozen=True)
class Day:
    """The day that is looked at, and where its files are."""

    day: str
    log: str
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
    def command(day: str, log: str, model: Path, model_version: str, output: Path, **others: Any) -> None:
        function(Day(day, log, model, model_version, output), **others)

    decorated: Callable[..., None] = command
    for decorate in (
        click.option("--output", type=click.Path(path_type=Path), default=Path("monitoring"), show_default=True),
        click.option("--model-version", required=True, help="The version that is looked at."),
        click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True),
        click.option("--log", required=True, help="Folder or address that `ontime log compact` writes to."),
        click.argument("day", metavar="DAY"),
    ):
        decorated = decorate(decorated)
    return decorated


def say(checked: Checked) -> None:
    """Print what a check says, and end the command with status 3 if it raised an alarm."""
    click.echo(checked.summary)
    if checked.findings:
        click.get_current_context().exit(ALARM)
