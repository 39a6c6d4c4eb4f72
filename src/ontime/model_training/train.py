"""Train one model family and keep what it took.

In: training and validation rows, vocabulary, the family's parameters. Out: `models/training_runs/<model>/` with
`model/`, `config/parameters.json`, `metadata/training.json` and `metrics/history.csv`.
"""

import sys
from importlib.metadata import version

import click

from ontime.common import paths
from ontime.common.files import sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.model_training.families import History, Train, family, parameters_of
from ontime.model_training.rows import load_encoder, load_rows


@click.command(name="train")
@click.argument("model")
def command(model: str) -> None:
    """Train one model family: logistic_regression, random_forest, gradient_boosting or neural_network."""
    kind = family(model)
    settings = load_section("train", Train)
    parameters = parameters_of(model, settings)
    encoder = load_encoder()
    train, validation = load_rows("train", encoder), load_rows("validation", encoder)
    fitted, history = kind.fit(train, validation, encoder, parameters, settings.seed, progress=sys.stderr.isatty())
    run = paths.training_run(model)
    fitted.save(run / "model")
    write_json(run / "config" / "parameters.json", {"seed": settings.seed, **parameters.model_dump()})
    metadata = {
        "model": model,
        "training_rows": len(train[1]),
        "training_events": int(train[1].sum()),
        "training_data_sha256": sha256(paths.split_rows("train")),
        "packages": {name: version(name) for name in kind.packages},
    }
    write_json(run / "metadata" / "training.json", metadata)
    write_text(run / "metrics" / "history.csv", history_csv(history))


def history_csv(history: History) -> str:
    """Comma-separated values with a header; losses to six decimals."""
    names = [name for name in ("step", "train_log_loss", "validation_log_loss") if name in history[0]]
    lines = [
        ",".join(f"{row[name]:.0f}" if name == "step" else f"{row[name]:.6f}" for name in names) for row in history
    ]
    return "\n".join([",".join(names), *lines]) + "\n"
