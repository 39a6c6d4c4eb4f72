"""What each route answers, within which bounds, and what the service tells of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Model
from ontime.model_deployment.service.app import Service, make_app
from ontime.model_deployment.service.settings import Settings

INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"


def lines(printed: str, event: str) -> list[dict[str, Any]]:
    """The log's objects of one event."""
    return [content for content in map(json.loads, printed.splitlines()) if content["event"] == event]


def features(records: list[dict[str, Any]]) -> dict[str, Any]:
    """A version 2 request with one tensor per feature."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(records)],
                "datatype": "BYTES" if name in ("depot", "service") else "FP32",
                "data": [record[name] for record in records],
            }
            for name in records[0]
        ]
    }


def test_golden_records_have_their_probabilities_in_both_protocols(client: TestClient, golden: dict[str, Any]) -> None:
    records = golden["records"]
    found = client.post(PREDICT, json={"instances": records}).json()["predictions"]
    assert found == pytest.approx(golden["probabilities"], abs=1e-5)
    columns = {name: [record[name] for record in records] for name in records[0]}
    assert client.post(PREDICT, json={"inputs": columns}).json() == {"outputs": found}
    outputs = client.post(INFER, json=features(records)).json()["outputs"]
    assert [output["name"] for output in outputs] == ["probability", "decision"]
    assert outputs[0]["data"] == found


def test_a_versioned_path_answers_for_its_version_alone(client: TestClient, golden: dict[str, Any]) -> None:
    body = {"instances": golden["records"][:1]}
    assert client.post("/v1/models/parcels/versions/1.2.3:predict", json=body).status_code == 200
    refused = client.post("/v1/models/parcels/versions/2.0.0:predict", json=body)
    assert (refused.status_code, refused.json()) == (
        404,
        {"error": "no version 2.0.0 of parcels; this service has 1.2.3"},
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/v2/models/letters/infer", 404, "no model letters; this service has parcels"),
        ("POST", "/v1/models/letters:predict", 404, "no model letters; this service has parcels"),
        ("GET", "/v2/models/letters", 404, "no model letters; this service has parcels"),
        ("GET", "/v1/models/letters", 404, "no model letters; this service has parcels"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("POST", "/v2/repository/models/parcels/unload", 404, "Not Found"),
        ("GET", "/nothing", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_told_as_json(client: TestClient, method: str, path: str, status: int, error: str) -> None:
    answer = client.request(method, path, content=b"{}" if method == "POST" else None)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_health_and_metadata_say_what_is_served(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"name": "parcels", "ready": True}
    assert client.get("/v2/models/parcels/ready").json()["ready"] is True
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    metadata = client.get("/v2/models/parcels").json()
    assert metadata["versions"] == ["1.2.3"]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "weight": "FP32",
        "fragile": "FP32",
        "depot": "BYTES",
        "service": "BYTES",
    }
    (status,) = client.get("/v1/models/parcels").json()["model_version_status"]
    assert (status["state"], status["version"]) == ("AVAILABLE", "1.2.3")


def test_a_stopping_service_is_alive_but_not_ready_and_closes_connections(
    client: TestClient, service: Service, golden: dict[str, Any]
) -> None:
    service.draining = True
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"], ready.headers["connection"]) == (503, False, "close")
    assert client.get("/v2/health/live").status_code == 200
    answer = client.post(PREDICT, json={"instances": golden["records"][:1]})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    ("headers", "content", "status", "error"),
    [
        ({"content-type": "text/csv"}, b"1,2", 415, "Content-Type: expected application/json or"),
        (
            {"content-type": "application/json", "content-encoding": "gzip"},
            b"1",
            415,
            "Content-Encoding: expected none",
        ),
        ({"content-type": "application/json"}, b"[" + b" " * 100_000, 413, "body: expected at most 100000 bytes"),
        ({"inference-header-content-length": "many"}, b"{}", 400, "Inference-Header-Content-Length: expected a number"),
        ({"inference-header-content-length": "99"}, b"{}", 400, "Inference-Header-Content-Length: expected 1 to 2"),
        ({}, b"", 400, "expected JSON"),
    ],
)
def test_a_body_outside_its_bounds_is_refused(
    client: TestClient, headers: dict[str, str], content: bytes, status: int, error: str
) -> None:
    answer = client.post(INFER, headers=headers, content=content)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(error)


def test_a_body_without_length_is_bounded_too(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b" " * 60_000 for _ in range(3))

    answer = client.post(INFER, content=pieces())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_full_queue_says_when_to_come_back(client: TestClient, service: Service, golden: dict[str, Any]) -> None:
    service.batcher.rows = service.batcher.max_queued_rows
    answer = client.post(PREDICT, json={"instances": golden["records"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == {"error": "too many rows wait; try again"}


def test_a_request_id_is_kept_or_made(client: TestClient, golden: dict[str, Any]) -> None:
    body = {"instances": golden["records"][:1]}
    assert client.post(PREDICT, json=body, headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    made = [client.post(PREDICT, json=body).headers["x-request-id"] for _ in range(2)]
    made.append(client.post(PREDICT, json=body, headers={"x-request-id": "with space"}).headers["x-request-id"])
    assert len(set(made)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{12}-\d+", found) for found in made)


def test_each_request_and_each_row_is_one_line_of_the_log(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    records = golden["records"][:2]
    answer = client.post(PREDICT, json={"instances": records}, headers={"x-request-id": "a"})
    client.post(PREDICT, json={}, headers={"x-request-id": "b"})
    service.log.flush()
    printed = capfd.readouterr().out
    assert [(line["request_id"], line["status"]) for line in lines(printed, "request")] == [("a", 200), ("b", 400)]
    rows = lines(printed, "prediction")
    assert [row["features"] for row in rows] == [pytest.approx(record) for record in records]
    assert [row["probability"] for row in rows] == answer.json()["predictions"]
    assert {(row["request_id"], row["model"], row["model_version"]) for row in rows} == {("a", "parcels", "1.2.3")}
    assert [row["decision"] for row in rows] == [row["probability"] >= service.model.threshold for row in rows]


def test_the_prediction_log_is_sampled_and_redacted(
    model: Model, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"instances": golden["records"][:1]}
    for changes, rows in (({"prediction_log_share": 0.0}, 0), ({"prediction_log_redact": ["depot"]}, 20)):
        service = Service(model, settings.model_copy(update=changes))
        client = TestClient(make_app(service))
        for _ in range(20):
            client.post(PREDICT, json=body)
        service.log.flush()
        found = lines(capfd.readouterr().out, "prediction")
        assert len(found) == rows
        assert all("depot" not in row["features"] and "weight" in row["features"] for row in found)


def test_a_redacted_feature_that_the_model_lacks_stops_the_start(model: Model, settings: Settings) -> None:
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


def test_a_run_that_fails_is_an_error_of_the_service_without_its_inside(
    model: Model, settings: Settings, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(model, settings)

    def fail(_: Any) -> Any:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(service.batcher, "predict", fail)
    client = TestClient(make_app(service), raise_server_exceptions=False)
    answer = client.post(PREDICT, json={"instances": golden["records"][:1]})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert client.get("/v2/health/live").status_code == 200


def test_the_openapi_document_names_the_features_and_its_examples_are_served(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    record = document["components"]["schemas"]["Record"]
    assert list(record["properties"]) == ["weight", "fragile", "depot", "service"]
    assert record["additionalProperties"] is False
    for path, methods in document["paths"].items():
        place = path.replace("{name}", "parcels").replace("{version}", "1.2.3")
        if "post" in methods:
            body = methods["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = client.post(place, json=body)
        else:
            answer = client.get(place)
        assert answer.status_code == 200, (place, answer.text)


def test_the_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        for place in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
            if not place.startswith("data:"):
                assert "//" not in place
                assert client.get(f"/{place}").status_code == 200
    about = client.get("/page.json").json()
    assert about["page_features"] == ["depot", "service", "weight", "fragile"]
    assert about["features"][2]["values"]
