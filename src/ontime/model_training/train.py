"""Train one model family and keep what it took.

In: training and validation rows, vocabulary, the family's parameters. Out: `models/training_runs/<model>/` with
`model/`, `config/parameters.json`, `metadata/training.json` and `metrics/history.csv`. `times.json` beside them says
when it was, for `ontime track`; DVC does not keep it, because it differs each time.
"""

import sys
import time
from importlib.metadata import version

import click

from ontime.common import paths
from ontime.common.files import sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.common.weights import size_of
from ontime.model_training.families import History, Setting, Train, check_family, family, parameters_of, weights_of
from ontime.model_training.rows import load_encoder, load_fit_rows
from ontime.tasks.task import load_task

TIMES = "times.json"
"""When a run was trained (seconds since 1970), and the SHA-256 of the losses that it wrote."""


@click.command(name="train")
@click.argument("model")
def command(model: str) -> None:
    """Train one model family, such as random_forest, gradient_boosting or neural_network."""
    check_family(model)
    task = load_task()
    kind = family(model, task)
    settings = load_section("train", Train)
    parameters = parameters_of(model, settings)
    encoder = load_encoder()
    train, validation = load_fit_rows("train", encoder), load_fit_rows("validation", encoder)
    setting = Setting(encoder, parameters, settings.seed, task, progress=sys.stderr.isatty())
    begun = time.time()
    fitted, history = kind.fit(train, validation, setting)
    told = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in history[-1].items())
    click.echo(f"{model}: fitted on {len(train[1])} rows; {told}", err=True)
    run = paths.training_run(model)
    fitted.save(run / "model")
    write_json(run / "config" / "parameters.json", {"seed": settings.seed, **parameters.model_dump()})
    metadata = {
        "model": model,
        **{f"training_{name}": count for name, count in size_of(len(train[1]), weights_of(train)).items()},
        **{f"training_{name}": count for name, count in task.counts(train[1]).items()},
        "training_data_sha256": sha256(paths.split_rows("train")),
        "packages": {name: version(name) for name in kind.packages},
    }
    write_json(run / "metadata" / "training.json", metadata)
    write_text(run / "metrics" / "history.csv", history_csv(history))
    of = sha256(run / "metrics" / "history.csv")
    write_json(run / TIMES, {"begun": begun, "ended": time.time(), "history_sha256": of})


def history_csv(history: History) -> str:
    """Comma-separated values with a header; log losses to six decimals, those in a unit to nine digits."""
    names = sorted(history[0], key=lambda name: ("step", "train", "validation").index(name.split("_")[0]))
    forms = {name: ".0f" if name == "step" else ".6f" if name.endswith("log_loss") else ".9g" for name in names}
    lines = [",".join(f"{row[name]:{forms[name]}}" for name in names) for row in history]
    return "\n".join([",".join(names), *lines]) + "\n"
