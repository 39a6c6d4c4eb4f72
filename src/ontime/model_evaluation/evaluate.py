"""One training run judged on validation and test: metrics, slices, curves, importance.

In: the run's model, validation and test rows, costs. Out: `metrics/{validation,test}.json`, `metrics/slices.csv`,
`plots/*.csv` and `predictions/{validation,test}.parquet` of the run. A threshold is chosen on validation; the test
rows are read here, by `baselines`, by `refit` and for the pictures of `export` alone.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Matrix, Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.files import column_names, read_json, read_parquet, replacing, write_json, write_parquet, write_text
from ontime.common.layout import TARGET, own, own_in
from ontime.common.params import load_section
from ontime.common.weights import load_weights, weights_at
from ontime.encoder import Encoder
from ontime.model_evaluation.judge import Judge, judge_of
from ontime.model_evaluation.metrics import as_stored
from ontime.model_evaluation.publish import Publish, large_slices
from ontime.model_evaluation.settings import Evaluate
from ontime.model_training.families import Predict, Train, check_family, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.tasks.task import Task, as_column, load_task

IMPORTANCE_ROWS = 5000
SHOWN_FEATURES = 20


@click.command(name="evaluate")
@click.argument("model")
def command(model: str) -> None:
    """Judge one training run on validation and test."""
    check_family(model)
    slices = load_section("evaluate", Evaluate).slices
    task, seed = load_task(), load_section("train", Train).seed
    least = load_section("publish", Publish).slice_rows
    encoder = load_encoder()
    for name in slices:
        if name not in encoder.features:
            raise OntimeError(f"params.yaml: evaluate.slices: no column {name} among the features")
    run, judge = paths.training_run(model), judge_of(task.name, task.classes)
    evaluate(run, load_model(model, run / "model").predict, encoder, slices, task, judge, seed, least)


def evaluate(
    run: Path,
    predict: Predict,
    encoder: Encoder,
    slices: list[str],
    task: Task,
    judge: Judge,
    seed: int,
    least: int = 1,
) -> None:
    """Write what a model's outputs are worth into the folder of its run; slices of at least so many rows."""
    (matrix, target), weights = load_rows("validation", encoder), load_weights("validation")
    outputs = as_stored(predict(matrix))
    rule = judge.rule(target, outputs, weights)
    write_json(run / "metrics" / "validation.json", {**judge.summarize(target, outputs, rule, weights), **rule})
    predictions = {"validation": outputs}
    importance = permutation_importance(predict, matrix, target, encoder, seed, task, weights)

    (matrix, target), weights = load_rows("test", encoder), load_weights("test")
    outputs = as_stored(predict(matrix))
    write_json(run / "metrics" / "test.json", judge.summarize(target, outputs, rule, weights))
    predictions["test"] = outputs
    rows = read_parquet(paths.split_rows("test"), columns=slices)
    table = judge.by_slice(rows, slices, target, outputs, rule, weights)
    write_csv(large_slices(table, slices, least), run / "metrics" / "slices.csv")
    with replacing(run / "plots") as folder:
        curves = judge.curves(target, outputs, weights)
        for name, curve in {**curves, "importance": importance.head(SHOWN_FEATURES)}.items():
            write_csv(curve, folder / f"{name}.csv")
    with replacing(run / "predictions") as folder:
        folder.mkdir()
        for part, outputs in predictions.items():
            write_parquet(with_outputs(part, outputs, slices, task.output), folder / f"{part}.parquet")


def with_outputs(part: str, outputs: Outputs, slices: list[str], name: str) -> pd.DataFrame:
    """Key, slices, any weight and target of a part's rows with a model's outputs, float32, in a column of this name."""
    layout, path = read_json(paths.FEATURE_LAYOUT), paths.split_rows(part)
    target, weight = own_in(TARGET, column_names(path)), layout.get("weight")
    kept = [*layout["key"], *slices, *([weight] if weight else []), target]
    rows = read_parquet(path, columns=list(dict.fromkeys(kept)))
    return rows.assign(**{own(name, rows.columns): as_column(outputs.astype(np.float32))})


def permutation_importance(
    predict: Predict,
    matrix: Matrix,
    target: Target,
    encoder: Encoder,
    seed: int,
    task: Task,
    weights: Weights | None = None,
) -> pd.DataFrame:
    """How much the loss rises when one feature's values are shuffled among the rows; greatest first.

    Breiman 2001, "Random forests", on at most 5,000 rows. scikit-learn's own takes an estimator, which a Keras
    model is not.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(target))[:IMPORTANCE_ROWS]
    matrix, target, weights = matrix[chosen], target[chosen], weights_at(weights, chosen)
    base = task.loss(target, predict(matrix), weights)
    rises = []
    for place in range(len(encoder.features)):
        shuffled, columns = matrix.copy(), np.flatnonzero(encoder.feature_of == place)
        # all columns of a text in the same order
        shuffled[:, columns] = matrix[np.ix_(random.permutation(len(matrix)), columns)]
        rises.append(task.loss(target, predict(shuffled), weights) - base)
    rise = f"{task.loss_name}_increase"
    table = pd.DataFrame({"feature": encoder.features, rise: [task.rounded(one) for one in rises]})
    return table.sort_values(rise, ascending=False, kind="stable", ignore_index=True)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame with a header, lines ended as on Linux, numbers as Python writes them."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
