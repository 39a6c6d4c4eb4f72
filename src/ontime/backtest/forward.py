"""What models of the champion's family say of rows that came after those they were fitted on.

In: training and validation rows, the champion's family, parameters and number of steps. Out:
`models/forward/predictions.parquet` with key, time, slices, target and the model's output of each row.

The days are cut into blocks of equally many days, and each block but the first is predicted by a model of all rows
before it, with its own vocabulary: a rolling origin (Tashman 2000, "Out-of-sample tests of forecasting accuracy"). The
test rows are not read. Without a time no row is earlier than another, and the table has no row.
"""

from collections.abc import Iterator

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.backtest.fitted_outputs import fitted_outputs
from ontime.common import paths
from ontime.common.files import read_json, read_parquet, write_parquet
from ontime.common.layout import TARGET, Layout, own, own_in
from ontime.common.params import Count, Section, load_section
from ontime.common.weights import counted_target
from ontime.data_processing.split import Split
from ontime.model_evaluation.settings import Evaluate
from ontime.model_training.recipe import Recipe, champion_recipe
from ontime.tasks.task import Task, as_column


class Forward(Section):
    """How many times a model is fitted and asked for the block after its rows."""

    folds: Count


@click.command(name="forward")
def command() -> None:
    """Predict blocks of training and validation rows by models of the rows before them."""
    folds = load_section("forward", Forward).folds
    slices = load_section("evaluate", Evaluate).slices
    least_rows = load_section("split", Split).min_category_rows
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    rows = pd.concat([read_parquet(paths.split_rows(part)) for part in paths.FITTED_PARTS], ignore_index=True)
    recipe = champion_recipe()
    found = forward(rows, layout, recipe, folds, least_rows)
    time = [layout.time] if layout.time else []
    kept = list(dict.fromkeys([*layout.key, *time, *slices, layout.target, own(recipe.task.output, rows.columns)]))
    write_parquet(found[kept], paths.FORWARD)


def forward(rows: pd.DataFrame, layout: Layout, recipe: Recipe, folds: int, least_rows: int) -> pd.DataFrame:
    """The rows that were predicted, block after block, with the model's output (float32).

    Args:
        least_rows: categories with fewer earlier rows count as unknown.
    """
    block = blocks(rows, layout.time, folds + 1)
    task = recipe.task
    name = own(task.output, rows.columns)
    predicted = [rows.iloc[:0].assign(**{name: np.array([], dtype=np.float32)})]
    for number, (earlier, later) in enumerate(_windows(rows, block, folds + 1, task, layout.weight), start=1):
        click.echo(f"forward: model {number} of at most {folds}, fitted on {len(earlier)} rows", err=True)
        outputs = fitted_outputs(recipe, earlier, later, layout, least_rows)
        predicted.append(later.assign(**{name: as_column(outputs)}))
    return pd.concat(predicted, ignore_index=True)


def blocks(rows: pd.DataFrame, time: str | None, count: int) -> npt.NDArray[np.int64]:
    """Number of the block of each row (rows,), -1 where it has no time.

    Each block has equally many of the UTC days that have rows, the first blocks one more if they do not divide.
    """
    if time is None:
        return np.full(len(rows), -1, dtype=np.int64)
    day = rows[time].to_numpy(dtype="datetime64[D]")
    days = np.unique(day[~np.isnat(day)])
    of_day = np.repeat(np.arange(count), [len(part) for part in np.array_split(days, count)])
    found = np.full(len(rows), -1, dtype=np.int64)
    found[~np.isnat(day)] = of_day[np.searchsorted(days, day[~np.isnat(day)])]
    return found


def _windows(
    rows: pd.DataFrame, block: npt.NDArray[np.int64], count: int, task: Task, weight: str | None
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Earlier rows and the next block; not where there is none, or no model can be made of the earlier rows."""
    for place in range(1, count):
        earlier, later = rows[(block >= 0) & (block < place)], rows[block == place]
        if len(later) and not task.fault(counted_target(earlier, own_in(TARGET, earlier.columns), weight)):
            yield earlier, later
