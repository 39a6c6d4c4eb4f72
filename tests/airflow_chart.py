"""What the chart of `argocd/platform/airflow.yaml` makes of its values for the pods of tasks.

Written after the chart's `_helpers.yaml` and `configmaps/configmap.yaml`.
"""

import json
import re
from typing import Any

from ontime.manifests.render import Manifest, parse
from tests.checkouts import TOP

IMAGE = '{{ template "airflow_image" . }}'
VALUE = re.compile(r"\{\{ \.Values\.(\S+) \| toJson \}\}")


def platform_values() -> dict[str, Any]:
    """The values that the platform's Application gives the chart."""
    (application,) = parse((TOP / "argocd" / "platform" / "airflow.yaml").read_text(encoding="utf-8"))
    (source,) = [one for one in application["spec"]["sources"] if one["chart"] == "airflow"]
    found: dict[str, Any] = source["helm"]["valuesObject"]
    return found


def configuration(values: dict[str, Any], api_server: str) -> str:
    """The file that every part and every task reads, with the address of the API server, which the chart knows."""
    address = {"execution_api_server_url": f"{api_server}/execution/"}
    sections = {"core": {"executor": values["executor"], **values["config"]["core"], **address}}
    sections |= {name: content for name, content in values["config"].items() if name not in sections}
    lines = []
    for name, content in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in content.items()), ""]
    return "\n".join(lines)


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
