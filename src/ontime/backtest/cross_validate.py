"""What models of one family say of the rows of each fold, which they were not fitted on; `select` chooses by it.

In: training and validation rows, `split.folds`, the family's parameters and its run's number of steps. Out:
`out_of_fold.parquet` of the run: a row for each training row, then for each validation row, with key, fold, target and
output. With one fold, the validation rows alone choose, and the table has no row.

A model is fitted on the rows of the other folds, by time on those before its fold (Stone 1974, "Cross-validatory choice
and assessment of statistical predictions"; Tashman 2000, "Out-of-sample tests of forecasting accuracy"). It has as
many steps as the run, because rows that stopped its training could not judge it.
"""

import click
import numpy as np
import pandas as pd

from ontime.backtest.fitted_outputs import fitted_outputs
from ontime.common import paths
from ontime.common.files import read_json, read_parquet, write_parquet
from ontime.common.layout import Layout, own
from ontime.common.params import load_section
from ontime.data_processing.folds import assign_folds
from ontime.data_processing.split import Split
from ontime.model_training.families import check_family
from ontime.model_training.out_of_fold_file import FOLD, fitted_for, path_of
from ontime.model_training.recipe import Recipe, recipe_of
from ontime.tasks.task import as_column


@click.command(name="cross-validate")
@click.argument("model")
def command(model: str) -> None:
    """Predict each fold by a model of one family that was fitted on other folds."""
    check_family(model)
    split, layout = load_section("split", Split), Layout(**read_json(paths.FEATURE_LAYOUT))
    rows = pd.concat([read_parquet(paths.split_rows(part)) for part in paths.FITTED_PARTS], ignore_index=True)
    found = cross_validate(rows, layout, recipe_of(model), split)
    write_parquet(found, path_of(model))


def cross_validate(rows: pd.DataFrame, layout: Layout, recipe: Recipe, split: Split) -> pd.DataFrame:
    """Key, fold, target and output (float32) of each row, missing in fold 0; of no row where there is one fold."""
    task = recipe.task
    if split.folds == 1:
        rows = rows.iloc[:0]
    fold = assign_folds(rows, layout, split, task) if split.folds > 1 else np.zeros(0, dtype=np.int64)
    outputs = np.full((len(rows), *([len(task.classes)] * bool(task.classes))), np.nan, dtype=np.float32)
    for number in np.unique(fold[fold > 0]):
        fitted, asked = rows[fitted_for(number, fold)], fold == number
        told = f"fold {number} of {split.folds}, fitted on {len(fitted)} rows"
        click.echo(f"cross-validate: {recipe.family}, {told}", err=True)
        outputs[asked] = fitted_outputs(recipe, fitted, rows[asked], layout, split.min_category_rows)
    kept = rows[list(dict.fromkeys([*layout.key, layout.target]))]
    return kept.assign(**{own(FOLD, kept.columns): fold, own(task.output, kept.columns): as_column(outputs)})
