"""The model that is served: the champion, or its family fitted once more on training and validation rows.

In: the champion's run, training, validation and test rows, `train.refit`. Out: `models/refit/` with `model/`,
`metadata/refit.json` and `metrics/test.json`.

Validation rows are the newest that may be learned from, and once they have chosen the champion, the number of steps and
any threshold, a model can learn from them too. Nothing is chosen afterwards: what is measured on validation is the
champion's run, and the fitted model is measured on the test rows, which neither has seen.
"""

import shutil
import sys

import click
import numpy as np

from ontime.common import paths
from ontime.common.files import read_json, replacing, sha256, write_json
from ontime.common.params import load_section
from ontime.common.weights import load_weights, size_of
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.metrics import as_stored
from ontime.model_training.families import Train, load_model, weights_of
from ontime.model_training.recipe import champion_recipe
from ontime.model_training.rows import fit_rows, load_encoder, load_rows


@click.command(name="refit")
def command() -> None:
    """Fit the champion's family on training and validation rows, if train.refit says so, and measure it on test."""
    refit = load_section("train", Train).refit
    recipe, encoder = champion_recipe(), load_encoder()
    run, judge = paths.training_run(recipe.family), judge_of(recipe.task.name, recipe.task.classes)
    metadata = {"model": recipe.family, "refit": refit}
    if refit:
        parts = [load_rows(part, encoder) for part in paths.FITTED_PARTS]
        matrix, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        rows = fit_rows(matrix, target, load_weights(*paths.FITTED_PARTS))
        metadata |= {
            "steps": recipe.steps,
            **size_of(len(rows[1]), weights_of(rows)),
            **recipe.task.counts(rows[1]),
            "validation_data_sha256": sha256(paths.split_rows("validation")),
        }
        click.echo(f"refit: {recipe.family} on {len(rows[1])} rows", err=True)
        model = recipe.fit_all(rows, encoder, sys.stderr.isatty())
        model.save(paths.REFIT / "model")
    else:
        model = load_model(recipe.family, run / "model")
        with replacing(paths.REFIT / "model") as folder:
            shutil.copytree(run / "model", folder)
    write_json(paths.REFIT / "metadata" / "refit.json", metadata)
    chosen = read_json(run / "metrics" / "validation.json")
    matrix, target = load_rows("test", encoder)
    summary = judge.summarize(target, as_stored(model.predict(matrix)), chosen, load_weights("test"))
    write_json(paths.REFIT / "metrics" / "test.json", summary)
