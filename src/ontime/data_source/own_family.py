"""Have the graph train, compare and export a model family of one's own: what `ontime init --family` writes.

In: the module in `model_training/` and its section in `params.yaml`. Out: `dvc.yaml`, in which the family stands
wherever one that is like it does.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE
from ontime.data_source.task_settings import DVC_FILE, plots
from ontime.model_training.families import families_of, family, parameters_of
from ontime.parameters import load_params
from ontime.repository.yaml_files import editing

LIKE = {"scikit-learn": "random_forest", "keras": "neural_network"}
"""For each framework a family that `dvc.yaml` has."""


def add_family(name: str) -> None:
    """Write one more family into `dvc.yaml`; nothing changes where it is there.

    Raises:
        OntimeError: `params.yaml` has no section for it.
    """
    params, kind = load_params(), family(name)
    names = families_of(params.task.kind, params.train)
    if name not in names:
        raise OntimeError(f"{PARAMS_FILE}: train.{name}: missing; write its parameters there")
    parameters_of(name, params.train)
    like = LIKE[kind.framework]
    with editing(DVC_FILE) as graph:
        each = graph["stages"]["train"]["foreach"]
        if name in each:
            return
        # evaluate has the same mapping
        each.insert(len(each), name, deepcopy(each[like]))
        for listed in _lists(graph["stages"]):
            _add_beside(listed, like, name)
        graph["plots"] = plots(params.task.kind, names)


def _lists(stages: Any) -> Iterator[Any]:
    """What stages of no single family read and write."""
    for stage in stages.values():
        yield from (stage[key] for key in ("deps", "outs", "metrics") if "foreach" not in stage and key in stage)


def _add_beside(listed: Any, like: str, name: str) -> None:
    """Add a path with the new name after the last of each block of paths with the other's."""
    places = [place for place, path in enumerate(listed) if like in path]
    added = 0
    for block_end in (place for place in places if place + 1 not in places):
        first = block_end
        while first - 1 in places:
            first -= 1
        for offset, place in enumerate(range(first, block_end + 1), start=1):
            listed.insert(block_end + added + offset, str(listed[place + added]).replace(like, name))
        added += block_end - first + 1
