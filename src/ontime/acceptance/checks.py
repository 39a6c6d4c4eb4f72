"""Health, metadata, golden records in each protocol, errors and metrics: what each check is and when it fails.

A check returns the line of the report, and raises `OntimeError` with the reason if the service fails it.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ontime.acceptance.client import (
    Answer,
    Client,
    binary_body,
    checked,
    datatype,
    infer_body,
    outputs_of,
    predict_body,
    predictions_of,
)
from ontime.common.arrays import Outputs
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.golden import Golden, read_golden
from ontime.model_deployment.inference.manifest import Manifest, read_manifest
from ontime.model_deployment.service.smoke import REQUESTS, RETRY_SECONDS

METRICS = ("ontime_requests_total", "ontime_request_duration_seconds")


@dataclass
class Target:
    """The service, the model that it should serve, and the version if one is expected; figures are for the report."""

    client: Client
    folder: Path
    manifest: Manifest
    golden: Golden
    version: str | None
    figures: dict[str, float | int | str] = field(default_factory=dict)

    @classmethod
    def of(cls, client: Client, folder: Path, version: str | None) -> "Target":
        """With the files of a champion's folder."""
        return cls(client, folder, read_manifest(folder), read_golden(folder), version)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The golden records by feature."""
        return {one.name: [record[one.name] for record in self.golden.records] for one in self.manifest.features}

    @property
    def v1(self) -> str:
        """Path of the model in version 1."""
        return f"/v1/models/{self.manifest.name}"

    @property
    def v2(self) -> str:
        """Path of the model in version 2."""
        return f"/v2/models/{self.manifest.name}"


def wait_until_ready(target: Target, seconds: float) -> str:
    """Live and ready, the model too."""
    end = time.monotonic() + seconds
    while True:
        try:
            live = checked(target.client.get("/v2/health/live"))
            ready = [checked(target.client.get(path)) for path in ("/v2/health/ready", f"{target.v2}/ready")]
        except OntimeError:
            if time.monotonic() >= end:
                raise
            time.sleep(RETRY_SECONDS)
            continue
        if live.get("live") is not True or any(one.get("ready") is not True for one in ready):
            raise OntimeError(f"not ready: {live}, {ready}")
        return f"live, and {target.manifest.name} is ready"


def check_metadata(target: Target) -> str:
    """Name, version and tensors of the model, as both protocols say them."""
    server, model, status = (checked(target.client.get(path)) for path in ("/v2", target.v2, target.v1))
    found = {server["version"], *model["versions"], *(one["version"] for one in status["model_version_status"])}
    if len(found) != 1:
        raise OntimeError(f"several versions: {', '.join(sorted(found))}")
    (version,) = found
    target.figures["version"] = version
    if target.version is not None and version != target.version:
        raise OntimeError(f"version {version} is served; expected {target.version}")
    expected = [(one.name, datatype(one)) for one in target.manifest.features]
    if [(one["name"], one["datatype"]) for one in model["inputs"]] != expected:
        raise OntimeError(f"its inputs are not the {len(expected)} features of {target.folder / 'manifest.json'}")
    return f"{model['name']} {version}, {len(expected)} features"


def check_golden_v1(target: Target) -> str:
    """Golden records through version 1."""
    body = predict_body(target.golden.records)
    return _golden(target, lambda: np.array(predictions_of(target.client.post(f"{target.v1}:predict", body))))


def check_golden_v2(target: Target) -> str:
    """Golden records through version 2 in JSON."""
    body = infer_body(target.manifest.features, target.columns)
    return _golden(target, lambda: _said(target, target.client.post(f"{target.v2}/infer", body)))


def check_golden_binary(target: Target) -> str:
    """Golden records through version 2 with binary tensors."""
    body, headers = binary_body(target.manifest.features, target.columns)
    return _golden(target, lambda: _said(target, target.client.ask("POST", f"{target.v2}/infer", body, headers)))


def _said(target: Target, answer: Answer) -> Outputs:
    return outputs_of(answer, target.manifest.answer)


def _golden(target: Target, ask: Callable[[], Outputs]) -> str:
    expected, largest = np.array(target.golden.expected), 0.0
    for _ in range(REQUESTS):
        found = ask()
        if found.shape != expected.shape:
            raise OntimeError(f"predictions of shape {found.shape} for golden records of {expected.shape}")
        difference = float(np.abs(found - expected).max())
        # written so that NaN fails
        if not difference <= target.manifest.golden_tolerance:
            raise OntimeError(
                f"golden records differ by up to {difference:.1e}, above {target.manifest.golden_tolerance:.0e}"
            )
        largest = max(largest, difference)
    return f"{len(expected)} golden records, {REQUESTS} times, differ by up to {largest:.1e}"


def check_errors(target: Target) -> str:
    """Bad input is refused with the right status and one line that says why."""
    record = dict(target.golden.records[0])
    first = target.manifest.features[0].name
    unknown = json.dumps({"instances": [{**record, "no such feature": 1}]}).encode()
    missing = json.dumps({"instances": [{name: record[name] for name in record if name != first}]}).encode()
    wrong = json.dumps({"instances": [{**record, first: {"a": 1}}]}).encode()
    good, predict = predict_body([record]), f"{target.v1}:predict"
    cases: list[tuple[str, str, str, bytes | None, int]] = [
        ("an unknown feature", "POST", predict, unknown, 400),
        ("a missing feature", "POST", predict, missing, 400),
        ("a value of another type", "POST", predict, wrong, 400),
        ("no JSON", "POST", predict, b'{"instances": [', 400),
        ("no inputs", "POST", f"{target.v2}/infer", b'{"inputs": []}', 400),
        ("another model", "POST", "/v1/models/no-such-model:predict", good, 404),
        ("another version", "POST", f"{target.v1}/versions/no-such-version:predict", good, 404),
        ("an unknown path", "GET", "/no/such/path", None, 404),
        ("another method", "GET", f"{target.v2}/infer", None, 405),
    ]
    for what, method, path, body, status in cases:
        answer = target.client.ask(method, path, body, {"Content-Type": "application/json"} if body else {})
        if answer.status != status:
            raise OntimeError(f"{what}: status {answer.status}; expected {status}")
        reason = answer.json().get("error")
        if not isinstance(reason, str) or not reason or "\n" in reason or "Traceback" in reason:
            raise OntimeError(f"{what}: no line that says why: {answer.body[:80]!r}")
    return f"{len(cases)} bad requests are refused, each with one line"


def check_metrics(target: Target, address: Client) -> str:
    """Prometheus metrics count what was asked so far."""
    answer = address.get("/metrics")
    if answer.status != 200:
        raise OntimeError(f"status {answer.status}")
    text = answer.body.decode(errors="replace")
    absent = [name for name in (*METRICS, target.manifest.answer.metric) if name not in text]
    if absent:
        raise OntimeError(f"not among them: {', '.join(absent)}")
    counted = sum(
        float(one) for one in re.findall(r'^ontime_requests_total\{[^}]*code="200"[^}]*\} (\S+)$', text, re.M)
    )
    if counted < 1:
        raise OntimeError("no request is counted, though this check's were answered")
    target.figures["requests_counted"] = int(counted)
    return f"{int(counted)} answered requests are counted"
