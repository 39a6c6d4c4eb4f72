"""Requests and predictions reach the log and the metrics, sampled and redacted as the settings say."""

from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.inference.prediction_log import PredictionLine, RequestLine
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings
from tests.services import log_lines, threshold_of

INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"


def test_each_request_and_each_row_is_one_line_of_the_log(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    records = golden["records"][:2]
    answer = client.post(PREDICT, json={"instances": records}, headers={"x-request-id": "a"})
    client.post(PREDICT, json={}, headers={"x-request-id": "b"})
    service.log.flush()
    printed = capfd.readouterr().out
    assert [(line["request_id"], line["status"]) for line in log_lines(printed, "request")] == [("a", 200), ("b", 400)]
    rows = log_lines(printed, "prediction")
    assert [row["features"] for row in rows] == [pytest.approx(record) for record in records]
    assert [row["probability"] for row in rows] == answer.json()["predictions"]
    assert {(row["request_id"], row["model"], row["model_version"]) for row in rows} == {("a", "parcels", "1.2.3")}
    assert [row["decision"] for row in rows] == [row["probability"] >= threshold_of(service.model) for row in rows]


def test_the_prediction_log_is_sampled_and_redacted(
    model: Champion, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"instances": golden["records"][:1]}
    for changes, rows in (({"prediction_log_share": 0.0}, 0), ({"prediction_log_redact": ["depot"]}, 20)):
        service = Service(model, settings.model_copy(update=changes))
        client = TestClient(make_app(service))
        for _ in range(20):
            client.post(PREDICT, json=body)
        service.log.flush()
        found = log_lines(capfd.readouterr().out, "prediction")
        assert len(found) == rows
        assert all("depot" not in row["features"] and "weight" in row["features"] for row in found)


def test_a_row_is_logged_with_the_key_that_the_caller_sends(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    records, keys = golden["records"][:2], ["2024-05-01/north/7", None]
    for path in (PREDICT, PREDICT.replace(":predict", ":explain")):
        assert client.post(path, json={"instances": records, "keys": keys}).status_code == 200
    inputs = [
        {
            "name": name,
            "shape": [2],
            "datatype": "BYTES" if name in service.model.encoder.categories else "FP32",
            "data": [record[name] for record in records],
        }
        for name in service.model.encoder.features
    ]
    key = {"name": "key", "shape": [2], "datatype": "BYTES", "data": keys}
    assert client.post(INFER, json={"inputs": [*inputs, key]}).status_code == 200
    client.post(PREDICT, json={"instances": records[:1]})
    service.log.flush()
    rows = log_lines(capfd.readouterr().out, "prediction")
    assert [row.get("key", "none") for row in rows] == [keys[0], "none"] * 3 + ["none"]


def test_keys_are_redacted_like_features(
    model: Champion, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    service = Service(model, settings.model_copy(update={"prediction_log_redact": ["key"]}))
    TestClient(make_app(service)).post(PREDICT, json={"instances": golden["records"][:1], "keys": ["a"]})
    service.log.flush()
    (row,) = log_lines(capfd.readouterr().out, "prediction")
    assert "key" not in row and row["features"] == pytest.approx(golden["records"][0])


def test_a_redacted_feature_that_the_model_lacks_stops_the_start(model: Champion, settings: Settings) -> None:
    with pytest.raises(OntimeError, match=r"PREDICTION_LOG_REDACT: the model has no feature colour"):
        Service(model, settings.model_copy(update={"prediction_log_redact": ["colour"]}))


def test_requests_and_unusual_values_reach_the_metrics(
    client: TestClient, service: Service, golden: dict[str, Any]
) -> None:
    record = golden["records"][0] | {"depot": "the moon"}
    client.post(PREDICT, json={"instances": [record]})
    client.post(INFER, json={})
    found = generate_latest(service.metrics.registry).decode()
    assert 'ontime_requests_total{code="200",protocol="v1"} 1.0' in found
    assert 'ontime_requests_total{code="400",protocol="v2"} 1.0' in found
    assert 'ontime_unknown_categories_total{feature="depot"} 1.0' in found
    assert "ontime_predicted_probability_count 1.0" in found


def test_lines_of_the_log_decode_by_their_types(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    record = golden["records"][0] | {"weight": None}
    answer = client.post(PREDICT, json={"instances": [record]}, headers={"x-request-id": "a"})
    service.log.flush()
    printed = capfd.readouterr().out.splitlines()
    prediction, request = (
        msgspec.json.decode(line, type=line_type, strict=True)
        for line, line_type in zip(printed, (PredictionLine, RequestLine), strict=True)
    )
    assert (prediction.event, prediction.request_id, prediction.features) == ("prediction", "a", record)
    assert [prediction.probability] == answer.json()["predictions"]
    assert (request.event, request.method, request.path, request.status) == ("request", "POST", PREDICT, 200)
