"""The parameters of the challenger that the last checked day asks for, as `ontime set` and the workflow take them.

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
@click.argument("output", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(output: Path) -> None:
    """Print the parameters of the challenger that the last day in OUTPUT asks for, a line each."""
    days = read_days(output)
    if not days:
        raise OntimeError(f"{output}: no day was checked; run `ontime monitor day` first")
    settings = settings_of(days, load_section("split", Split), load_section("retraining", Retraining))
    for key, value in settings.items():
        click.echo(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
