"""What a canary goes through, and when its analysis is a success, a failure or neither."""

import re

import pytest

from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one

pytestmark = pytest.mark.xdist_group("manifests")


def test_a_canary_takes_bounded_steps_and_each_weight_is_judged(overlay: list[Manifest]) -> None:
    rollout = one(overlay, "Rollout")
    assert "replicas" not in rollout["spec"], "the autoscaler's"
    assert rollout["spec"]["progressDeadlineAbort"] is True
    canary = rollout["spec"]["strategy"]["canary"]
    assert canary["maxUnavailable"] == 0
    steps = canary["steps"]
    assert [next(iter(step)) for step in steps] == ["setWeight", "pause", "analysis"] * 2
    for step in steps:
        if "pause" in step:
            assert step["pause"]["duration"].endswith("s"), "without a duration it waits for ever"
        if "setWeight" in step:
            assert 0 < step["setWeight"] <= 50
        if "analysis" in step:
            template = one(overlay, "AnalysisTemplate", step["analysis"]["templates"][0]["templateName"])
            needed = {arg["name"] for arg in template["spec"]["args"] if "value" not in arg}
            assert {arg["name"] for arg in step["analysis"]["args"]} == needed


def test_an_analysis_without_traffic_is_neither_success_nor_failure(overlay: list[Manifest]) -> None:
    metrics = one(overlay, "AnalysisTemplate")["spec"]["metrics"]
    assert [metric["name"] for metric in metrics] == ["error-rate", "latency-p95", "prediction-shift"]
    thresholds = {"error-rate": "0.01", "latency-p95": "2", "prediction-shift": "0.25"}
    for metric in metrics:
        threshold = thresholds[metric["name"]]
        # an empty answer meets neither condition
        assert metric["successCondition"] == f"len(result) == 1 && result[0] <= {threshold}"
        assert metric["failureCondition"] == f"len(result) == 1 && result[0] > {threshold}"
        # so many successes in a row or it is inconclusive, in bounded time, and two failures abort
        assert metric["consecutiveSuccessLimit"] >= 2
        assert metric["failureLimit"] < metric["consecutiveSuccessLimit"]
        assert metric["count"] * int(metric["interval"].removesuffix("s")) <= 600
        assert metric["inconclusiveLimit"] == metric["count"]


def test_rules_alerts_and_queries_ask_only_for_metrics_that_the_service_exports(overlay: list[Manifest]) -> None:
    sources = (TOP / "src" / "ontime" / name for name in ("model_deployment/service/metrics.py", "tasks/answers.py"))
    text = "".join(path.read_text() for path in sources)
    rules = [rule for group in one(overlay, "PrometheusRule", "ontime")["spec"]["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    queries = [rule["expr"] for rule in rules]
    queries += [m["provider"]["prometheus"]["query"] for m in one(overlay, "AnalysisTemplate")["spec"]["metrics"]]
    names = {name for query in queries for name in re.findall(r"\bontime[_:][a-z0-9_:]+", query)}
    assert len(names) > 8
    for name in names - recorded:
        assert f'"{re.sub("_(total|bucket|count)$", "", name)}"' in text, name
