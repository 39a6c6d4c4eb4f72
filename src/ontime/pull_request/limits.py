"""What a pull request is judged by: the gate's limits and the slices, as the base revision's `params.yaml` has them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE, check
from ontime.model_evaluation.settings import Evaluate
from ontime.pull_request.gate import Gate
from ontime.repository.git import content_of
from ontime.tasks.names import TaskName
from ontime.tasks.task import TaskSettings


@dataclass(frozen=True)
class Limits:
    """The section `gate`, the columns whose slices it judges, and the task that its metrics are of."""

    gate: Gate
    slices: list[str]
    task: TaskName = "binary"


def limits_of(commit: str) -> Limits:
    """The limits of a commit.

    Raises:
        OntimeError: the commit has no such file or section, or one that this code does not know.
    """
    where = f"{PARAMS_FILE} of {commit[:12]}"
    try:
        content: Any = YAML(typ="safe").load(content_of(commit, PARAMS_FILE) or "")
        gate, evaluate = content["gate"], content["evaluate"]
    except (YAMLError, TypeError, KeyError):
        raise OntimeError(f"{where}: has no gate, so nothing can be judged; compare the metrics by hand") from None
    # before there were other tasks, all were binary
    task = check(TaskSettings, content.get("task", {"kind": "binary"}), f"{where}: task").kind
    return Limits(check(Gate, gate, f"{where}: gate"), check(Evaluate, evaluate, f"{where}: evaluate").slices, task)


def split_section(text: str) -> dict[str, Any]:
    """The section `split` of a text of `params.yaml`; keys that older ones lack have no value there."""
    try:
        found: Any = YAML(typ="safe").load(text)["split"]
        return {"until": None, "excluded_days": [], **found}
    except (YAMLError, TypeError, KeyError):
        return {}


def changed_limits(base: Limits, head: Limits) -> list[str]:
    """A line for each limit that differs, in plain words."""
    before, after = dict(_flat(base)), dict(_flat(head))
    return [
        f"`{name}`: {_said(before, name)} in the base, {_said(after, name)} here"
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name) != after.get(name)
    ]


def _flat(limits: Limits) -> Iterator[tuple[str, Any]]:
    yield from _leaves("gate", limits.gate.model_dump())
    yield "evaluate.slices", limits.slices


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, value


def _said(values: dict[str, Any], name: str) -> str:
    return f"`{json.dumps(values[name])}`" if name in values else "not judged"
