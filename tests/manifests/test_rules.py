"""Prometheus' own tests of the rules and of the analysis' queries, in `rules/`; none is without one."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one
from tests.pages import anchors
from tests.promtool import alert_rules, analysis_rules, rule_groups, run_rule_tests, write_rules

pytestmark = pytest.mark.xdist_group("manifests")
PAGE = TOP / "docs" / "monitoring.md"
OWNERS = ("model", "platform")
FILES = sorted((TOP / "tests" / "manifests" / "rules").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prometheus_evaluates_the_rules_as_its_test_files_say(
    rendered: dict[str, list[Manifest]], tmp_path: Path, file: Path
) -> None:
    write_rules(rendered["overlays/production"], tmp_path)
    shutil.copyfile(file, tmp_path / "tests.yaml")
    done = run_rule_tests(tmp_path, "tests.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def cases(kind: str) -> list[dict[str, Any]]:
    """What all files ask for: `promql_expr_test` or `alert_rule_test`."""
    tests = [test for file in FILES for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
    return [case for test in tests for case in test.get(kind, [])]


def test_every_record_and_query_has_a_test_that_wants_a_value(overlay: list[Manifest]) -> None:
    records = [rule for group in rule_groups(overlay) for rule in group["rules"] if "record" in rule]
    rules = [*records, *analysis_rules(overlay)]
    found = [
        (set(re.findall(r"[a-z0-9_]+:[a-z0-9_:]+", case["expr"])), str(sample["labels"]))
        for case in cases("promql_expr_test")
        for sample in case["exp_samples"]
    ]
    for rule in rules:
        labels = [f'{name}="{value}"' for name, value in rule.get("labels", {}).items()]
        tests = [told for names, told in found if rule["record"] in names and all(label in told for label in labels)]
        assert tests, f"{rule['record']} {labels}: no file of tests/manifests/rules tests it"
    known = {rule["record"] for rule in rules}
    assert all(names <= known for names, _ in found), "a test of a rule that is not there"


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(production: list[Manifest]) -> None:
    tests = cases("alert_rule_test")
    assert {case["alertname"] for case in tests if case["exp_alerts"]} == {*alert_rules(production)}
    assert {case["alertname"] for case in tests if not case["exp_alerts"]} == {*alert_rules(production)}


def test_the_documentation_lists_the_alerts_with_their_durations(production: list[Manifest]) -> None:
    alerts = {name: rule.get("for", "") for name, rule in alert_rules(production).items()}
    rows = re.findall(r"^\| `(Ontime\w+)` \|.*\| *([^|\n]*?) *\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: told.replace(" min", "m").replace(" ", "") for name, told in rows} == alerts


def test_every_alert_says_how_bad_it_is_whose_it_is_and_what_to_do(
    rendered: dict[str, list[Manifest]], production: list[Manifest]
) -> None:
    bootstrap = one(rendered["argocd"], "Application", "bootstrap")["spec"]["source"]
    page = f"{bootstrap['repoURL'].removesuffix('.git')}/blob/{bootstrap['targetRevision']}/{PAGE.relative_to(TOP)}"
    for name, rule in alert_rules(production).items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["labels"]["owner"] in OWNERS, name
        assert {*rule["annotations"]} == {"summary", "description", "runbook_url"}, name
        assert "{{" not in rule["annotations"]["description"], name
        assert rule["annotations"]["runbook_url"] == f"{page}#{name.lower()}", name
        assert name.lower() in anchors(PAGE), f"{PAGE.name}: no runbook of {name}"


def test_alerts_of_the_daily_check_name_the_namespace_that_it_watches(production: list[Manifest]) -> None:
    rules = one(production, "PrometheusRule", "ontime-monitor")
    namespaces = {rule["labels"]["namespace"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert namespaces == {rules["metadata"]["namespace"]}
