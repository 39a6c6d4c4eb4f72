"""Record each finished training run in MLflow, once, and what came of it since: its metrics, and whether it won.

Recorded are parameters, losses by step, metrics, plots, the model with signature and example, data sets and git commit;
of baselines their metrics; of `ontime tune` a run for each trial. Nothing in the graph reads them, and if the server is
down, a warning is printed and the run is not affected. `MLFLOW_TRACKING_URI` is the server (default
`sqlite:///mlflow.db`); `ONTIME_TRACKING=off` turns recording off.
"""

import hashlib
import os
from pathlib import Path

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_json
from ontime.common.params import load_section
from ontime.model_training.families import FAMILIES, Train, check_family, families_of
from ontime.model_training.tune import TRIALS
from ontime.tasks.task import TaskSettings, task_of
from ontime.tracking.experiment import describe, open_experiment, recorded_run, role_of
from ontime.tracking.mlflow_client import asking_mlflow
from ontime.tracking.run_record import METRICS, record_baseline, record_run, record_trials, update_run

TRAINED = ("config", "metadata", "model", "metrics/history.csv")
"""What the `train` stage wrote into a run's folder."""
NOTE = paths.TRAINING_RUNS / "recorded.json"
"""States of runs that are known to be recorded, by the hash of the tracking address, so that MLflow need not be
imported to check."""


@click.command(name="track")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
def command(models: tuple[str, ...]) -> None:
    """Record finished training runs in MLflow, each once (default: of every model, and of the baselines)."""
    for name in models:
        check_family(name)
    if os.environ.get("ONTIME_TRACKING") == "off":
        return
    every = models or families_of(load_section("task", TaskSettings).kind, load_section("train", Train))
    finished = [name for name in every if (paths.training_run(name) / "metadata").is_dir()]
    absent = [name for name in models if name not in finished]
    if absent:
        raise OntimeError(f"{paths.training_run(absent[0])}: not found; run `dvc repro` (or `ontime pull`) first")
    parts = {name: identity_of(paths.training_run(name)) for name in finished}
    parts |= {} if models else {name: identity_of(paths.training_run(name), METRICS) for name in finished_baselines()}
    parts |= {
        f"{name}/{TRIALS}": sha256(paths.training_run(name) / TRIALS)
        for name in every
        if (paths.training_run(name) / TRIALS).is_file()
    }
    states = {name: state_of(name, identity) for name, identity in parts.items()}
    with asking_mlflow("runs not recorded") as address:
        known = noted(address)
        new = {name: parts[name] for name, state in states.items() if state not in known}
        if new:
            recorded = record(new)
            write_json(NOTE, {hashed(address): sorted({*known, *states.values()})})
            click.echo(f"recorded in MLflow: {', '.join(recorded) or 'nothing new'}")


def finished_baselines() -> list[str]:
    """Baselines whose metrics are there, of whichever task."""
    names = [name for task in FAMILIES for name in task_of(task).baselines]
    return [name for name in names if all((paths.training_run(name) / part).is_file() for part in METRICS)]


def noted(address: str) -> set[str]:
    """States of the runs that are known to be recorded at a tracking address."""
    database = address.removeprefix("sqlite:///")
    if not NOTE.is_file() or (database != address and not Path(database).exists()):
        return set()
    return set(read_json(NOTE).get(hashed(address), ()))


def hashed(address: str) -> str:
    """SHA-256 of an address, which may hold a password."""
    return hashlib.sha256(address.encode()).hexdigest()


def record(identities: dict[str, str]) -> list[str]:
    """Record the runs, by name, that MLflow does not have yet, and return their names; others get what is new."""
    experiment, new = open_experiment(), []
    for name, identity in identities.items():
        found = recorded_run(experiment, identity)
        family, is_search = name.removesuffix(f"/{TRIALS}"), name.endswith(f"/{TRIALS}")
        run = paths.training_run(family)
        if found is None:
            new.append(f"trials of {family}" if is_search else name)
        if is_search:
            if found is None:
                record_trials(experiment, family, run / TRIALS, identity)
        elif found is not None:
            update_run(found, name)
        elif (run / "metadata").is_dir():
            record_run(experiment, name, identity)
        else:
            record_baseline(experiment, name, identity)
    describe()
    return new


def identity_of(run: Path, parts: tuple[str, ...] = TRAINED) -> str:
    """SHA-256 of the names and hashes of the files that a training wrote."""
    files = [path for part in parts for path in sorted([run / part, *(run / part).rglob("*")]) if path.is_file()]
    listing = "".join(f"{sha256(path)}  {path.relative_to(run)}\n" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def state_of(name: str, identity: str) -> str:
    """SHA-256 of all that is recorded of a run, also of what came after its training."""
    since = identity_of(paths.training_run(name), METRICS)
    return hashlib.sha256(f"{identity} {since} {role_of(name)}".encode()).hexdigest()
