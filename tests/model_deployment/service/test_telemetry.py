"""Metrics say what was answered, and the log has one JSON object per line."""

import asyncio
import json
import time

import numpy as np
import pytest
from prometheus_client import generate_latest

from ontime.model_deployment.inference.champion import Model
from ontime.model_deployment.service.telemetry import (
    FLUSH_ROWS,
    FLUSH_SECONDS,
    Log,
    Metrics,
    Predicted,
    PredictionLine,
    RequestLine,
)


def samples(metrics: Metrics) -> dict[str, float]:
    """Values by name and labels, as Prometheus reads them."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_answers_are_counted_by_protocol_and_status(model: Model) -> None:
    metrics = Metrics(model)
    for status, seconds in ((200, 0.0004), (200, 0.3), (400, 0.001)):
        metrics.answers.add("v2", status, seconds)
    found = samples(metrics)
    assert found['ontime_requests_total{code="200",protocol="v2"}'] == 2
    assert found['ontime_requests_total{code="400",protocol="v2"}'] == 1
    assert found['ontime_request_duration_seconds_bucket{le="0.0005",protocol="v2"}'] == 1
    assert found['ontime_request_duration_seconds_count{protocol="v2"}'] == 3


def test_probabilities_make_a_histogram_whose_buckets_hold_their_upper_edge(model: Model) -> None:
    metrics = Metrics(model)
    matrix = model.encoder.transform_records([(1, 0, "north", "day")] * 4)
    metrics.predictions.count(matrix, np.array([0.0, 0.04, 0.06, 1.0], dtype=np.float32))
    found = samples(metrics)
    assert found['ontime_predicted_probability_bucket{le="0.05"}'] == 2
    assert found['ontime_predicted_probability_bucket{le="0.10"}'] == 3
    assert found['ontime_predicted_probability_bucket{le="0.95"}'] == 3
    assert found['ontime_predicted_probability_bucket{le="1.00"}'] == 4
    assert found['ontime_predicted_probability_bucket{le="+Inf"}'] == 4
    assert found["ontime_predicted_probability_count"] == 4
    assert found["ontime_predicted_probability_sum"] == pytest.approx(1.1)


def test_missing_features_and_unknown_categories_are_counted(model: Model) -> None:
    metrics = Metrics(model)
    matrix = model.encoder.transform_records([(None, 0, "moon", "day"), (None, None, None, "day")])
    metrics.predictions.count(matrix, np.zeros(2, dtype=np.float32))
    found = samples(metrics)
    assert found['ontime_missing_features_total{feature="weight"}'] == 2
    assert found['ontime_missing_features_total{feature="depot"}'] == 1
    assert found['ontime_missing_features_total{feature="service"}'] == 0
    assert found['ontime_unknown_categories_total{feature="depot"}'] == 1


def test_the_model_is_told_with_its_digest_and_commit(model: Model) -> None:
    (line,) = [name for name in samples(Metrics(model)) if name.startswith("ontime_model_info")]
    assert f'sha256="{model.digest}"' in line
    assert 'version="1.2.3"' in line
    assert 'git_commit="0123456789abcdef"' in line


def no_lines(_: Predicted) -> list[PredictionLine]:
    """A log that is given no predictions."""
    return []


def request_line(number: int) -> RequestLine:
    return RequestLine(time.time_ns(), "request", 'a "quoted"\nid', "POST", "/", number, 0.5)


def test_the_log_is_json_line_by_line_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = Log(no_lines)
        for number in range(3):
            log.add(request_line(number))
        assert capfd.readouterr().out == ""
        log.write("ready", status=3)

    asyncio.run(main())
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [0, 1, 2, 3]
    assert [line["event"] for line in lines] == ["request"] * 3 + ["ready"]
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_the_log_is_written_soon_or_when_it_is_long_without_being_asked(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = Log(no_lines)
        for _ in range(FLUSH_ROWS):
            log.add(request_line(200))
        assert len(capfd.readouterr().out.splitlines()) == FLUSH_ROWS
        log.add(request_line(201))
        await asyncio.sleep(2 * FLUSH_SECONDS)

    asyncio.run(main())
    assert json.loads(capfd.readouterr().out)["status"] == 201
