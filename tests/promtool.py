"""Prometheus' own tests of rules, on the rules and the queries of the manifests."""

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import replacing, write_json
from ontime.manifests.render import Manifest
from ontime.manifests.schemas import Definitions, download
from ontime.manifests.tools import CACHE, find_go, last_line, one_at_a_time
from tests.kubernetes import one

PROMETHEUS = Definitions("github.com/prometheus/prometheus", "v0.316.0", "cmd/promtool")
"""The module of Prometheus 3.16.0."""
ARGUMENTS = {"namespace": "here", "canary": "new", "stable": "old"}
"""What the analysis is asked with in a test."""


def find_promtool() -> str:
    """Path of promtool: the machine's own, or built once from Prometheus' module; skips the test where neither can be.

    The build takes a few minutes.
    """
    installed = shutil.which("promtool")
    if installed:
        return installed
    try:
        return str(_built())
    except OntimeError as error:
        pytest.skip(f"promtool is not installed (Debian and Ubuntu: apt-get install prometheus) and not built: {error}")


@one_at_a_time
def _built() -> Path:
    path = CACHE / f"promtool-{PROMETHEUS.version}"
    if path.is_file():
        return path
    source = download(PROMETHEUS)
    click.echo("building promtool, once", err=True)
    with replacing(path) as temporary:
        done = subprocess.run(
            # without the clients of every cloud, by which a server finds its targets
            [
                *(find_go(), "build", "-trimpath", "-mod=readonly", "-ldflags=-s -w", "-tags=remove_all_sd"),
                *("-o", str(temporary), f"./{PROMETHEUS.folder}"),
            ],
            cwd=source,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"promtool: not built: {last_line(done)}")
    return path


def write_rules(overlay: list[Manifest], folder: Path) -> None:
    """Write an overlay's rules as `rules.yaml`, and each query of its analysis as a rule of `analysis.yaml`.

    A query's name is that of its metric: `analysis:error_rate` is what `error-rate` asks.
    """
    # JSON is YAML
    write_json(folder / "rules.yaml", one(overlay, "PrometheusRule")["spec"])
    write_json(folder / "analysis.yaml", {"groups": [{"name": "analysis", "rules": analysis_rules(overlay)}]})


def analysis_rules(overlay: list[Manifest]) -> list[dict[str, str]]:
    """The queries of the analysis as recording rules, asked with `ARGUMENTS`."""
    rules = []
    for metric in one(overlay, "AnalysisTemplate")["spec"]["metrics"]:
        query = metric["provider"]["prometheus"]["query"]
        for name, value in ARGUMENTS.items():
            query = query.replace(f"{{{{args.{name}}}}}", value)
        assert "{{" not in query, metric["name"]
        rules.append({"record": f"analysis:{metric['name'].replace('-', '_')}", "expr": query})
    return rules


def run_rule_tests(folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """Run one test file of a folder."""
    return subprocess.run(
        [find_promtool(), "test", "rules", name], cwd=folder, capture_output=True, text=True, check=False
    )
