"""Metrics count responses, probabilities and unusual values."""

import numpy as np
import pytest
from prometheus_client import generate_latest

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.metrics import PROTOCOLS, STATUSES, Metrics, count_unusual


def samples(metrics: Metrics) -> dict[str, float]:
    """Values by name and labels, as Prometheus reads them."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_responses_are_counted_by_protocol_and_status(model: Champion) -> None:
    metrics = Metrics(model, int)
    for status, seconds in ((200, 0.0004), (200, 0.3), (400, 0.001)):
        metrics.responses.add("v2", status, seconds)
    found = samples(metrics)
    assert found['ontime_requests_total{code="200",protocol="v2"}'] == 2
    assert found['ontime_requests_total{code="400",protocol="v2"}'] == 1
    assert found['ontime_request_duration_seconds_bucket{le="0.0005",protocol="v2"}'] == 1
    assert found['ontime_request_duration_seconds_count{protocol="v2"}'] == 3


def test_every_known_label_is_at_zero_before_the_first_request(model: Champion) -> None:
    found = samples(Metrics(model, int))
    requests = {name for name in found if name.startswith("ontime_requests_total{")}
    assert len(requests) == len(PROTOCOLS) * len(STATUSES)
    assert len([name for name in found if name.startswith("ontime_request_duration_seconds_count{")]) == len(PROTOCOLS)
    assert 'ontime_requests_total{code="500",protocol="v1"}' in requests
    assert {value for name, value in found.items() if "_total" in name or "_count" in name} == {0}


def test_dropped_lines_are_counted_by_the_log(model: Champion) -> None:
    assert samples(Metrics(model, lambda: 7))["ontime_log_lines_dropped_total"] == 7


def test_probabilities_make_a_histogram_whose_buckets_hold_their_upper_edge(model: Champion) -> None:
    metrics = Metrics(model, int)
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


def test_missing_features_and_unknown_categories_are_counted(model: Champion) -> None:
    metrics = Metrics(model, int)
    matrix = model.encoder.transform_records([(None, 0, "moon", "day"), (None, None, None, "day")])
    metrics.predictions.count(matrix, np.zeros(2, dtype=np.float32))
    found = samples(metrics)
    assert found['ontime_missing_features_total{feature="weight"}'] == 2
    assert found['ontime_missing_features_total{feature="depot"}'] == 1
    assert found['ontime_missing_features_total{feature="service"}'] == 0
    assert found['ontime_unknown_categories_total{feature="depot"}'] == 1


def test_the_model_is_named_with_its_hash_and_commit(model: Champion) -> None:
    (line,) = [name for name in samples(Metrics(model, int)) if name.startswith("ontime_model_info")]
    assert f'sha256="{model.sha256}"' in line
    assert 'version="1.2.3"' in line
    assert 'git_commit="0123456789abcdef"' in line


def test_missing_and_unknown_values_are_counted_by_feature(model: Champion) -> None:
    records = [(1, 0, "north", "day"), (None, 0, None, "day"), (None, 1, "moon", "dusk")]
    missing, unknown = count_unusual(model, model.encoder.transform_records(records))
    assert missing.tolist() == [2, 0, 1, 0]
    assert unknown.tolist() == [1, 1]
