"""What the chart of `argocd/platform/airflow.yaml` makes of its values for the pods of tasks.

Written after the chart's `_helpers.yaml` and `configmaps/configmap.yaml`.
"""

import json
import re
from typing import Any

from ontime.manifests.render import Manifest, parse

IMAGE = '{{ template "airflow_image" . }}'
VALUE = re.compile(r"\{\{ \.Values\.(\S+) \| toJson \}\}")


def image(values: dict[str, Any]) -> str:
    """The image of every part, by its digest."""
    found = values["images"]["airflow"]
    return f"{found['repository']}@{found['digest']}"


def pod_template(values: dict[str, Any]) -> str:
    """The file from which the executor makes the pods of tasks."""

    def insert(match: re.Match[str]) -> str:
        found: Any = values
        for name in match[1].split("."):
            found = found[name]
        return json.dumps(found)

    text = VALUE.sub(insert, values["podTemplate"].replace(IMAGE, image(values)))
    assert "{{" not in text, text
    return text


def task_pod(values: dict[str, Any]) -> Manifest:
    """The pod of a task before the executor adds what the task is."""
    (pod,) = parse(pod_template(values))
    found: Manifest = pod
    return found
