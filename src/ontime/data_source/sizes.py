"""What `ontime init` sets of split, families and search by the number of rows, and the search itself.

The values are those that did well on the tables of `python -m benchmarks.own_tables`.
"""

from typing import Any

import click

from ontime.common.params import load_section
from ontime.cores import limit_threads
from ontime.model_training.tune import Tune, search
from ontime.repository.dvc import show
from ontime.repository.yaml_files import replace_value

LEAST_CATEGORY_ROWS, MOST_CATEGORY_ROWS, ROWS_PER_CATEGORY_ROW = 5, 100, 4000
LEAST_LEAF_ROWS, MOST_LEAF_ROWS, ROWS_PER_LEAF_ROW = 5, 50, 1000
"""Of a forest; so a tree has about a thousand leaves at most up to 50,000 rows, and the exported model stays small."""
LOGISTIC = {"C": 1.0}
"""scikit-learn's own default, from which the search starts, and which a table that is not searched keeps."""
FOREST = {"n_estimators": 200, "max_features": 0.3}
FOREST_OF_TEXTS = {"max_features": 0.03}
"""Of a table with texts: about the square root of their columns (Breiman 2001), a tenth of the time."""
BOOSTING = {"max_iter": 1000, "max_leaf_nodes": 7, "min_samples_leaf": 20}
SMALL_TREES_UP_TO = 20_000
"""Rows up to which boosting starts from small trees, and settings are searched."""
FOLDS, FOLDS_UP_TO = 5, 10_000
"""Rows up to which the champion is chosen by folds: the validation rows of a smaller table decide by luck, or cannot
tell the best model from a baseline."""
SPACE: dict[str, dict[str, list[Any]]] = {
    "logistic_regression": {"C": [0.001, 0.01, 0.1, 1.0, 10.0]},
    "linear_regression": {"alpha": [0.1, 1.0, 10.0, 100.0, 1000.0]},
    "gradient_boosting": {"max_leaf_nodes": [7, 31], "min_samples_leaf": [5, 20]},
}
"""What is searched: the strength of a linear model's penalty, and the size of boosting's trees. Few values, because a
search among many by a small part of the rows finds what was lucky there."""


def between(least: int, value: int, most: int) -> int:
    """The value, or the bound that it is beyond."""
    return max(least, min(value, most))


def set_sizes(params: Any, rows: int, has_texts: bool) -> None:
    """Write into the content of `params.yaml` what depends on how many rows have a target, and on columns of texts."""
    train, space = params["train"], params["tune"]["space"]
    params["split"]["min_category_rows"] = between(
        LEAST_CATEGORY_ROWS, rows // ROWS_PER_CATEGORY_ROW, MOST_CATEGORY_ROWS
    )
    params["split"]["folds"] = FOLDS if rows <= FOLDS_UP_TO else 1
    leaf = between(LEAST_LEAF_ROWS, rows // ROWS_PER_LEAF_ROW, MOST_LEAF_ROWS)
    if "logistic_regression" in train:
        train["logistic_regression"] |= LOGISTIC
    train["random_forest"] |= {**FOREST, "min_samples_leaf": leaf}
    if has_texts:
        train["random_forest"] |= FOREST_OF_TEXTS
    train["gradient_boosting"] |= BOOSTING
    if rows > SMALL_TREES_UP_TO:
        train["gradient_boosting"] |= {"max_leaf_nodes": 31, "min_samples_leaf": max(leaf, 20)}
    for name, values in SPACE.items():
        if name in space:
            replace_value(space, name, {key: list(each) for key, each in values.items()})


def search_small(rows: int) -> None:
    """Run the graph up to the split and search the families of `SPACE`, if the table is small enough for that."""
    if rows > SMALL_TREES_UP_TO:
        click.echo(
            f"settings not searched, as the table has more than {SMALL_TREES_UP_TO} rows: `ontime tune MODEL` does"
        )
        return
    limit_threads()
    show("repro", "split")
    for name in load_section("tune", Tune).space:
        if name in SPACE:
            search(name)
