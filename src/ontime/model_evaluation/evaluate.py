"""One training run judged on validation and test: metrics, slices, curves, importance.

In: the run's model, validation and test rows, costs. Out: `metrics/{validation,test}.json`, `metrics/slices.csv`,
`plots/*.csv` and `predictions/{validation,test}.parquet` of the run. The threshold is chosen on validation; the test
rows are read here, by `baselines` and by `refit` alone.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from ontime.common import paths
from ontime.common.arrays import Labels, Matrix, Probability
from ontime.common.errors import OntimeError
from ontime.common.files import column_names, read_json, read_parquet, replacing, write_json, write_parquet, write_text
from ontime.common.layout import PROBABILITY, TARGET, own, own_in
from ontime.common.params import Count, Section, load_section
from ontime.encoder import Encoder
from ontime.model_evaluation.metrics import (
    DIGITS,
    Decision,
    Evaluate,
    as_stored,
    best_threshold,
    by_slice,
    curves,
    summarize,
)
from ontime.model_training.families import Predict, Train, check_family, load_model
from ontime.model_training.rows import load_encoder, load_rows

EQUALS = "="
"""Between the column and the value of a slice's name."""
IMPORTANCE_ROWS = 5000
SHOWN_FEATURES = 20


class Publish(Section):
    """What is shown of groups of rows: a slice of fewer than `slice_rows` rows is not (k-anonymity)."""

    slice_rows: Count


@click.command(name="evaluate")
@click.argument("model")
def command(model: str) -> None:
    """Judge one training run on validation and test."""
    check_family(model)
    slices = load_section("evaluate", Evaluate).slices
    decision, seed = load_section("decision", Decision), load_section("train", Train).seed
    least = load_section("publish", Publish).slice_rows
    encoder = load_encoder()
    for name in slices:
        if name not in encoder.features:
            raise OntimeError(f"params.yaml: evaluate.slices: no column {name} among the features")
    run = paths.training_run(model)
    evaluate(run, load_model(model, run / "model").probability, encoder, slices, decision, seed, least)


def evaluate(
    run: Path,
    predict: Predict,
    encoder: Encoder,
    slices: list[str],
    decision: Decision,
    seed: int,
    least: int = 1,
) -> None:
    """Write what a model's probabilities are worth into the folder of its run; slices of at least so many rows."""
    matrix, labels = load_rows("validation", encoder)
    probability = as_stored(predict(matrix))
    threshold = best_threshold(labels, probability, decision)
    validation = summarize(labels, probability, threshold, decision)
    write_json(run / "metrics" / "validation.json", {**validation, "threshold": threshold})
    predictions = {"validation": probability}
    importance = permutation_importance(predict, matrix, labels, encoder.features, seed)

    matrix, labels = load_rows("test", encoder)
    probability = as_stored(predict(matrix))
    write_json(run / "metrics" / "test.json", summarize(labels, probability, threshold, decision))
    predictions["test"] = probability
    rows = read_parquet(paths.split_rows("test"), columns=slices)
    table = by_slice(rows, slices, labels, probability, threshold, decision)
    write_csv(large_slices(table, slices, least), run / "metrics" / "slices.csv")
    with replacing(run / "plots") as folder:
        for name, curve in {**curves(labels, probability), "importance": importance.head(SHOWN_FEATURES)}.items():
            write_csv(curve, folder / f"{name}.csv")
    with replacing(run / "predictions") as folder:
        folder.mkdir()
        for part, probability in predictions.items():
            write_parquet(with_probability(part, probability, slices), folder / f"{part}.parquet")


def large_slices(table: pd.DataFrame, slices: list[str], least: int) -> pd.DataFrame:
    """The slices of at least so many rows.

    Where one slice of a column is left out, so is the next smallest, because the first would follow from the total.

    Args:
        table: as `by_slice` makes it, with `slice` (such as `origin=JFK`) and `rows`.
    """
    left_out: list[int] = []
    for column in slices:
        of_column = table[table["slice"].str.startswith(f"{column}{EQUALS}")].sort_values("rows", kind="stable")
        small = int((of_column["rows"] < least).sum())
        if small:
            left_out += list(of_column.index[: max(small, 2)])
    return table.drop(index=left_out)


def with_probability(part: str, probability: Probability, slices: list[str]) -> pd.DataFrame:
    """Key, slices and target of the rows of a part with their probabilities, float32."""
    key, path = read_json(paths.FEATURE_LAYOUT)["key"], paths.split_rows(part)
    target = own_in(TARGET, column_names(path))
    rows = read_parquet(path, columns=list(dict.fromkeys([*key, *slices, target])))
    return rows.assign(**{own(PROBABILITY, rows.columns): probability.astype(np.float32)})


def permutation_importance(
    predict: Predict, matrix: Matrix, labels: Labels, names: list[str], seed: int
) -> pd.DataFrame:
    """How much the log loss rises when one feature's values are shuffled among the rows; greatest first.

    Breiman 2001, "Random forests", on at most 5,000 rows. scikit-learn's own takes an estimator, which a Keras
    model is not.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(labels))[:IMPORTANCE_ROWS]
    matrix, labels = matrix[chosen], labels[chosen]
    base = log_loss(labels, predict(matrix), labels=[0, 1])
    rises = []
    for column in range(len(names)):
        shuffled = matrix.copy()
        shuffled[:, column] = random.permutation(shuffled[:, column])
        rises.append(log_loss(labels, predict(shuffled), labels=[0, 1]) - base)
    table = pd.DataFrame({"feature": names, "log_loss_increase": np.round(rises, DIGITS)})
    return table.sort_values("log_loss_increase", ascending=False, kind="stable", ignore_index=True)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame with a header, lines ended as on Linux, numbers as Python writes them."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
