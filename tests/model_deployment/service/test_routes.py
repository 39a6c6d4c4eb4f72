"""Each route answers as its protocol says, and the pages load nothing from other servers."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.common.files import read_json
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.openapi import openapi
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings
from tests.services import threshold_of

INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"


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
        ("POST", "/v1/models/letters:explain", 404, "no model letters; this service has parcels"),
        ("GET", "/v2/models/letters", 404, "no model letters; this service has parcels"),
        ("GET", "/v1/models/letters", 404, "no model letters; this service has parcels"),
        ("GET", INFER, 405, "Method Not Allowed"),
        ("POST", "/v2/repository/models/parcels/unload", 404, "Not Found"),
        ("GET", "/nothing", 404, "Not Found"),
    ],
)
def test_an_unknown_path_is_a_json_error(client: TestClient, method: str, path: str, status: int, error: str) -> None:
    answer = client.request(method, path, content=b"{}" if method == "POST" else None)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_health_and_metadata_say_what_is_served(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"name": "parcels", "ready": True}
    assert client.get("/v2/models/parcels/ready").json()["ready"] is True
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data", "explanations"]
    metadata = client.get("/v2/models/parcels").json()
    assert metadata["versions"] == ["1.2.3"]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "weight": "FP32",
        "fragile": "FP32",
        "depot": "BYTES",
        "service": "BYTES",
    }
    assert [tensor["name"] for tensor in metadata["outputs"]] == ["probability", "decision"]
    assert metadata["explanations"] == [
        {"name": "contributions", "datatype": "FP64", "shape": [-1, 4]},
        {"name": "base_value", "datatype": "FP64", "shape": [-1]},
    ]
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


def test_the_openapi_document_names_the_features_and_its_examples_are_served(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    record = document["components"]["schemas"]["Record"]
    assert list(record["properties"]) == ["weight", "fragile", "depot", "service"]
    assert record["additionalProperties"] is False
    for path, methods in document["paths"].items():
        url = path.replace("{name}", "parcels").replace("{version}", "1.2.3")
        if "post" in methods:
            body = methods["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = client.post(url, json=body)
        else:
            answer = client.get(url)
        assert answer.status_code == 200, (url, answer.text)


def test_the_examples_of_a_category_that_no_training_row_has_are_served(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = service.model.manifest
    features = [
        one.model_copy(update={"typical": None}) if one.type == "category" and one.may_be_missing else one
        for one in manifest.features
    ]
    assert None in [one.typical for one in features]
    monkeypatch.setitem(service.model.__dict__, "manifest", manifest.model_copy(update={"features": features}))
    paths = openapi(service)["paths"]
    for path in ("/v1/models/{name}:predict", "/v1/models/{name}:explain", "/v2/models/{name}/infer"):
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = client.post(path.replace("{name}", "parcels"), json=body)
        assert answer.status_code == 200, (path, answer.text)


def test_the_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/card", "/docs"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        for link in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
            if not link.startswith("data:"):
                assert "//" not in link
                assert client.get(f"/{link.removeprefix('./')}").status_code == 200


def test_the_pages_data_is_the_champions_with_its_name_version_and_threshold(
    client: TestClient, model: Champion, signed: Path
) -> None:
    about = client.get("/page.json").json()
    assert about == {
        "name": "parcels",
        "version": "1.2.3",
        "threshold": threshold_of(model),
        "classes": [],
        **read_json(signed / "model" / "page.json"),
    }


def test_scripts_and_styles_are_kept_by_no_browser_and_import_only_what_is_served(client: TestClient) -> None:
    found, waiting = set[str](), ["page.js", "page.css"]
    while waiting:
        name = waiting.pop()
        answer = client.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        found.add(name)
        waiting += set(re.findall(r'from "\./([^"]+)"', answer.text)) - found
    assert len(found) > 5


PAGES = ["/", "/card", "/docs", "/openapi.json", "/page.json", "/docs/assets/swagger-ui.css", "/static/page.js"]


def test_without_the_page_everything_for_people_is_as_unknown_as_any_other_path(
    client: TestClient, model: Champion, settings: Settings, golden: dict[str, Any]
) -> None:
    unknown = client.get("/no/such/path")
    with TestClient(make_app(Service(model, settings.model_copy(update={"page": False})))) as plain:
        for path in PAGES:
            assert client.get(path).status_code == 200, path
            answer = plain.get(path)
            assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content), path
        assert plain.get("/v2/health/ready").status_code == 200
        assert plain.post(PREDICT, json={"instances": golden["records"][:1]}).status_code == 200
