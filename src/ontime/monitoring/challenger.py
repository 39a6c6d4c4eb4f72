"""The parameters of the challenger that a checked day asks for, as `ontime set` and the workflow take them.

In: `OUTPUT/day/*.json` and `params.yaml`. Out: lines KEY=VALUE; none if no challenger is asked for.
"""

import json
from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.common.params import load_section
from ontime.data_processing.split import Split
from ontime.monitoring.day_files import read_days
from ontime.monitoring.decision import settings_of
from ontime.monitoring.settings import Retraining


@click.command(name="challenger")
@click.argument("day", metavar="DAY")
@click.option("--output", type=click.Path(path_type=Path), default=Path("monitoring"), show_default=True)
def command(day: str, output: Path) -> None:
    """Print the parameters of the challenger that DAY asks for, a line each."""
    days = read_days(output, day)
    if not days or days[-1].day != day:
        raise OntimeError(f"{output}: {day} was not checked; run `ontime monitor day` first")
    settings = settings_of(days, load_section("split", Split), load_section("retraining", Retraining))
    for key, value in settings.items():
        click.echo(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
