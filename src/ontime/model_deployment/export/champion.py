"""The champion in a few lines: its name, its test metrics beside the baselines', and where to look.

In: `models/champion/manifest.json` and the baselines' `metrics/test.json`. Out: lines for a person.
"""

from collections.abc import Iterable, Iterator, Mapping

import click

from ontime.common import paths
from ontime.common.files import read_json
from ontime.model_deployment.export.model_card import shown, title_of
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_evaluation.judge import judge_of
from ontime.tasks.task import task_of

PLACES = (
    (f"{paths.CHAMPION}/report.html", "how good the champion is, month by month and group by group"),
    ("dvc plots show", "all families side by side"),
    ("make serve", "serves the champion, with a page, at http://127.0.0.1:8080"),
)
"""Where to look next."""


@click.command(name="champion")
def command() -> None:
    """Print the champion, its test metrics beside the baselines', and where to look."""
    manifest = read_manifest(paths.CHAMPION)
    columns = {manifest.model: manifest.metrics["test"]}
    for name in task_of(manifest.task).baselines:
        columns[name] = read_json(paths.training_run(name) / "metrics" / "test.json")
    click.echo(f"champion: {manifest.model}, exported as {manifest.name}")
    for line in [*table(columns, judge_of(manifest.task).compared), *aligned(PLACES)]:
        click.echo(line)


def table(columns: Mapping[str, Mapping[str, float]], metrics: Iterable[str]) -> Iterator[str]:
    """Lines with a metric each, and a column for each of those who have it."""
    names = [name.replace("_", " ") for name in columns]
    rows = [(title_of(one), *(shown(one, values[one]) for values in columns.values())) for one in metrics]
    yield from aligned([("on test", *names), *rows])


def aligned(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Lines whose columns begin at the same place."""
    known = list(rows)
    widths = [max(map(len, column)) for column in zip(*known, strict=True)]
    for row in known:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
