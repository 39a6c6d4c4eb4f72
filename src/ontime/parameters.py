"""The whole of `params.yaml`, for commands that write it or need every section. No stage imports this module."""

from pathlib import Path

from ontime.backtest.forward import Forward
from ontime.common.params import PARAMS_FILE, Section, check, read_params
from ontime.data_processing.split import Split
from ontime.datasets.source import Data
from ontime.engine import Engine
from ontime.model_deployment.export.export import Export
from ontime.model_evaluation.publish import Publish
from ontime.model_evaluation.select import Select
from ontime.model_evaluation.settings import Decision, Evaluate
from ontime.model_training.families import Train, families_of, parameters_of
from ontime.model_training.tune import Tune
from ontime.monitoring.settings import Monitor, Retraining
from ontime.privacy.settings import Privacy
from ontime.pull_request.gate import Gate
from ontime.tasks.task import TaskSettings


class Params(Section):
    """All sections."""

    data: Data
    task: TaskSettings
    engine: Engine
    split: Split
    train: Train
    decision: Decision
    evaluate: Evaluate
    publish: Publish
    select: Select
    forward: Forward
    gate: Gate
    export: Export
    tune: Tune
    monitor: Monitor
    retraining: Retraining
    privacy: Privacy


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises:
        OntimeError: not found, not YAML, or a key that is unknown, missing, of the wrong type or out of range.
    """
    return check_params(read_params(path), str(path))


def check_params(content: object, where: str) -> Params:
    """Check plain content and return all sections; the one-line error begins with `where`."""
    params = check(Params, content, where)
    for name in families_of(params.task.kind, params.train):
        parameters_of(name, params.train, where)
    return params
