"""Prometheus' own tests of rules, on the rules and the queries of the manifests."""

import copy
import subprocess
from pathlib import Path
from typing import Any

from ontime.common.files import write_json
from ontime.manifests.render import Manifest
from ontime.manifests.schemas import Definitions
from tests.go_programs import find_program
from tests.kubernetes import one

PROMETHEUS = Definitions("github.com/prometheus/prometheus", "v0.316.0", "cmd/promtool")
"""The module of Prometheus 3.16.0."""
ARGUMENTS = {"namespace": "here", "canary": "new", "stable": "old"}
"""What the analysis is asked with in a test."""


def find_promtool() -> str:
    """Path of promtool: the machine's own, or built once, which takes a few minutes."""
    return find_program(PROMETHEUS)


def rule_groups(overlay: list[Manifest]) -> list[dict[str, Any]]:
    """The groups of all rules of an overlay."""
    return [group for rules in overlay if rules["kind"] == "PrometheusRule" for group in rules["spec"]["groups"]]


def alert_rules(overlay: list[Manifest]) -> dict[str, dict[str, Any]]:
    """The rules of an overlay's alerts by their names."""
    return {rule["alert"]: rule for group in rule_groups(overlay) for rule in group["rules"] if "alert" in rule}


def write_rules(overlay: list[Manifest], folder: Path) -> None:
    """Write each group of an overlay's rules as a file of its name, and the analysis' queries as `analysis.yaml`.

    A test names the groups that it needs: the others are not evaluated over its days. A query's name is that of its
    metric: `analysis:error_rate` is what `error-rate` asks. Alerts have no annotation but their summary, the one text
    that is made of what is measured.
    """
    groups = copy.deepcopy(rule_groups(overlay))
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    # JSON is YAML
    for group in groups:
        write_json(folder / f"{group['name']}.yaml", {"groups": [group]})
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
