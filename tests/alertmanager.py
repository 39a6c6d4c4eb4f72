"""Alertmanager and its amtool for tests, built once from their Go module, with the configuration of the platform."""

import json
from pathlib import Path
from typing import Any

from ontime.common.files import write_json
from ontime.manifests.render import Manifest
from ontime.manifests.schemas import Definitions
from tests.go_programs import find_program
from tests.kubernetes import one

MODULE, VERSION = "github.com/prometheus/alertmanager", "v0.35.0"
# the module lacks the built web page that the programs embed
PAGE = {"ui/app/dist/index.html": "<!doctype html><title>Alertmanager</title>\n"}
MOUNTED = "/etc/alertmanager/secrets/"
"""Where the operator mounts the Secrets that a configuration reads."""


def find_alertmanager() -> str:
    """Path of alertmanager."""
    return find_program(Definitions(MODULE, VERSION, "cmd/alertmanager"), installed=False, files=PAGE)


def find_amtool() -> str:
    """Path of amtool."""
    return find_program(Definitions(MODULE, VERSION, "cmd/amtool"), installed=False, files=PAGE)


def chart_values(argocd: list[Manifest]) -> dict[str, Any]:
    """The chart's values for Alertmanager."""
    source = one(argocd, "Application", "kube-prometheus-stack")["spec"]["source"]
    values: dict[str, Any] = source["helm"]["valuesObject"]["alertmanager"]
    return values


def write_configuration(argocd: list[Manifest], folder: Path, secrets: Path) -> Path:
    """Alertmanager's configuration as a file in a folder; the Secrets that it reads are below another one."""
    path = folder / "alertmanager.yaml"
    text = json.dumps(chart_values(argocd)["config"])
    # JSON is YAML
    write_json(path, json.loads(text.replace(MOUNTED, f"{secrets}/")))
    return path
