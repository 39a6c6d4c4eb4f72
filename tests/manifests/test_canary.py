"""What a canary goes through, and what its analysis asks, answered by Prometheus' own evaluation of its rules."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one

pytestmark = pytest.mark.xdist_group("manifests")
ROWS = (100, 300, 500, 700, 900, 1000, 1100, 1150, 1180, 1200)


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


def series(name: str, hash_: str, per_second: float, **labels: str) -> Manifest:
    """A counter of one pod that grows evenly, scraped every ten seconds for five minutes."""
    told = {"namespace": "here", "pod": f"{hash_}-1", "rollouts_pod_template_hash": hash_, **labels}
    text = ",".join(f'{key}="{value}"' for key, value in told.items())
    return {"series": f"{name}{{{text}}}", "values": f"0+{per_second * 10:g}x30"}


def pod_series(hash_: str, rows: tuple[float, ...], failed: float = 0.0, slow: float = 0.0) -> list[Manifest]:
    """A pod's counters: rows by bucket a second, requests a second that fail and that take 200 ms."""
    edges = [f"{edge / 10:.2f}" for edge in range(1, 11)]
    found = [series("ontime_predicted_probability_bucket", hash_, n, le=le) for le, n in zip(edges, rows, strict=True)]
    found += [
        series("ontime_requests_total", hash_, 10 - failed, protocol="v1", code="200"),
        series("ontime_requests_total", hash_, failed, protocol="v1", code="500"),
    ]
    found += [
        series("ontime_request_duration_seconds_bucket", hash_, n, protocol="v1", le=le)
        for le, n in (("0.005", 10 - slow), ("0.1", 10 - slow), ("0.25", 10), ("+Inf", 10))
    ]
    return found


def evaluate(overlay: list[Manifest], tmp_path: Path, metric: str, canary: list[Manifest]) -> str:
    """What promtool says of the metric's query: the difference from an answer that cannot be."""
    rule = one(overlay, "PrometheusRule")["spec"]
    (tmp_path / "rules.json").write_text(json.dumps(rule))
    (query,) = [
        found["provider"]["prometheus"]["query"]
        for found in one(overlay, "AnalysisTemplate")["spec"]["metrics"]
        if found["name"] == metric
    ]
    for name, value in (("namespace", "here"), ("canary", "new"), ("stable", "old")):
        query = query.replace(f"{{{{args.{name}}}}}", value)
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [*pod_series("old", ROWS), *canary],
                "promql_expr_test": [{"expr": query, "eval_time": "5m", "exp_samples": [{"value": -1}]}],
            }
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    return done.stdout + done.stderr


def answers(told: str) -> list[float]:
    """The values that promtool got."""
    got = told.split("got:")[1].splitlines()[0] if "got:" in told else ""
    return [float(part.split()[-1]) for part in got.strip(' "[]').split(",") if part.strip() not in ("", "nil")]


def test_rules_alerts_and_queries_ask_only_for_metrics_that_the_service_exports(overlay: list[Manifest]) -> None:
    text = (TOP / "src" / "ontime" / "model_deployment" / "service" / "metrics.py").read_text()
    rules = [rule for group in one(overlay, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    queries = [rule["expr"] for rule in rules]
    queries += [m["provider"]["prometheus"]["query"] for m in one(overlay, "AnalysisTemplate")["spec"]["metrics"]]
    names = {name for query in queries for name in re.findall(r"\bontime[_:][a-z0-9_:]+", query)}
    assert len(names) > 8 and len([rule for rule in rules if "alert" in rule]) == 4
    for name in names - recorded:
        assert f'"{re.sub("_(total|bucket|count)$", "", name)}"' in text, name


@pytest.mark.parametrize(
    ("metric", "canary", "low", "high"),
    [
        ("error-rate", {"rows": ROWS}, 0.0, 0.0),
        ("error-rate", {"rows": ROWS, "failed": 1.0}, 0.0999, 0.1001),
        ("latency-p95", {"rows": ROWS}, 0.0, 2.0),
        ("latency-p95", {"rows": ROWS, "slow": 9.0}, 2.5, 5.0),
        ("prediction-shift", {"rows": ROWS}, 0.0, 0.001),
        # every probability near the base rate
        ("prediction-shift", {"rows": (0, 0, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200)}, 1.0, 20.0),
    ],
)
def test_the_analysis_tells_a_good_canary_from_a_bad_one(
    rendered: dict[str, list[Manifest]], tmp_path: Path, metric: str, canary: Any, low: float, high: float
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian and Ubuntu: apt-get install prometheus)")
    (found,) = answers(evaluate(rendered["overlays/staging"], tmp_path, metric, pod_series("new", **canary)))
    assert low <= found <= high


@pytest.mark.parametrize("metric", ["error-rate", "latency-p95", "prediction-shift"])
def test_the_analysis_has_no_answer_while_the_canary_has_little_traffic(
    rendered: dict[str, list[Manifest]], tmp_path: Path, metric: str
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian and Ubuntu: apt-get install prometheus)")
    few = pod_series("new", tuple(n / 1000 for n in ROWS))
    for one_ in few:
        if "ontime_requests" in one_["series"] and "200" in one_["series"]:
            one_["values"] = "0+1x30"
    assert answers(evaluate(rendered["overlays/staging"], tmp_path, metric, few)) == []
