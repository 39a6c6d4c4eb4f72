"""Both protocols explain rows beside their predictions, within bounds of their own."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.service.explaining import QUEUED_REQUESTS
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings

INFER, PREDICT, EXPLAIN = "/v2/models/parcels/infer", "/v1/models/parcels:predict", "/v1/models/parcels:explain"
FAMILIES = {"logistic_regression": False, "gradient_boosting": True, "neural_network": False}
"""Whether their explanations are exact."""
FEATURES = ["weight", "fragile", "depot", "service"]


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """A model family that is served."""
    name: str = request.param
    return name


@pytest.fixture
def served(exported: Callable[[str], Path], settings: Settings, family: str) -> Iterator[TestClient]:
    """A client of a service with a model of the family."""
    with TestClient(make_app(Service(load_champion(exported(family), "1.2.3"), settings))) as client:
        yield client


def infer_body(records: list[dict[str, Any]], *outputs: str, binary: bool = False) -> dict[str, Any]:
    """A version 2 request that names its outputs."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(records)],
                "datatype": "BYTES" if name in ("depot", "service") else "FP32",
                "data": [record[name] for record in records],
            }
            for name in FEATURES
        ],
        "outputs": [{"name": name, "parameters": {"binary_data": binary}} for name in outputs],
    }


def test_rows_are_explained_and_predicted_in_version_1(served: TestClient, golden: dict[str, Any], family: str) -> None:
    records = golden["records"]
    answer = served.post(EXPLAIN, json={"instances": records})
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == ["predictions", "explanations"]
    assert found["predictions"] == served.post(PREDICT, json={"instances": records}).json()["predictions"]
    for probability, explanation in zip(found["predictions"], found["explanations"], strict=True):
        assert list(explanation["contributions"]) == FEATURES
        assert (explanation["scale"], explanation["exact"]) == ("log-odds", FAMILIES[family])
        assert ("permutations" in explanation) == (not explanation["exact"])
        total = explanation["base_value"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(explanation["margin"], abs=1e-9)
        assert 1 / (1 + np.exp(-explanation["margin"])) == pytest.approx(probability, abs=1e-6)
    columns = {name: [record[name] for record in records] for name in FEATURES}
    assert served.post(EXPLAIN, json={"inputs": columns}).json() == found
    assert served.post("/v1/models/parcels/versions/1.2.3:explain", json={"instances": records}).json() == found


def test_version_2_explains_when_it_is_asked_by_name(served: TestClient, golden: dict[str, Any]) -> None:
    records = golden["records"]
    expected = served.post(EXPLAIN, json={"instances": records}).json()
    contributions = [list(explanation["contributions"].values()) for explanation in expected["explanations"]]
    base_values = [explanation["base_value"] for explanation in expected["explanations"]]
    plain = served.post(INFER, json=infer_body(records)).json()["outputs"]
    assert [output["name"] for output in plain] == ["probability", "decision"]

    names = ("base_value", "probability", "contributions")
    outputs = served.post(INFER, json=infer_body(records, *names)).json()["outputs"]
    assert [(output["name"], output["datatype"], output["shape"]) for output in outputs] == [
        ("base_value", "FP64", [len(records)]),
        ("probability", "FP32", [len(records)]),
        ("contributions", "FP64", [len(records), 4]),
    ]
    assert outputs[0]["data"] == base_values
    assert outputs[1]["data"] == plain[0]["data"]
    assert outputs[2]["data"] == [value for row in contributions for value in row]

    answer = served.post(INFER, json=infer_body(records, "contributions", "base_value", binary=True))
    length = int(answer.headers["inference-header-content-length"])
    header, blob = json.loads(answer.content[:length]), answer.content[length:]
    sizes = [output["parameters"]["binary_data_size"] for output in header["outputs"]]
    assert sizes == [len(records) * 32, len(records) * 8]
    assert np.frombuffer(blob[: sizes[0]], dtype="<f8").reshape(-1, 4).tolist() == contributions
    assert np.frombuffer(blob[sizes[0] :], dtype="<f8").tolist() == base_values


def test_more_rows_than_the_settings_allow_are_refused(
    client: TestClient, service: Service, golden: dict[str, Any]
) -> None:
    records = (golden["records"] * 2)[:17]
    for path, body in ((EXPLAIN, {"instances": records}), (INFER, infer_body(records, "contributions"))):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()) == (413, {"error": "expected at most 16 rows to explain, found 17"})
    assert client.post(INFER, json=infer_body(records)).status_code == 200
    assert service.explanations.rows == 0


def test_a_full_queue_of_explanations_says_when_to_try_again_and_predictions_go_on(
    client: TestClient, service: Service, golden: dict[str, Any]
) -> None:
    service.explanations.rows = QUEUED_REQUESTS * 16
    body = {"instances": golden["records"][:1]}
    answer = client.post(EXPLAIN, json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert client.post(PREDICT, json=body).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"weight": "heavy"}, "instances[0].weight: expected `float | null`, got `str`"),
        ({"service": None}, "service: row 0: missing, expected a value"),
        ({"colour": "red"}, "instances[0]: object contains unknown field `colour`"),
    ],
)
def test_an_invalid_record_is_refused_as_for_a_prediction(
    client: TestClient, golden: dict[str, Any], change: dict[str, Any], error: str
) -> None:
    body = {"instances": [golden["records"][0] | change]}
    answers = [client.post(path, json=body) for path in (PREDICT, EXPLAIN)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(400, {"error": error})] * 2


def test_explained_rows_are_counted_and_logged_as_predicted_ones(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    client.post(EXPLAIN, json={"instances": golden["records"][:3]}, headers={"x-request-id": "a"})
    found = generate_latest(service.metrics.registry).decode()
    assert 'ontime_requests_total{code="200",protocol="v1"} 1.0' in found
    assert "ontime_predicted_probability_count 3.0" in found
    service.log.flush()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["prediction"] * 3 + ["request"]
    assert lines[-1]["path"] == EXPLAIN


def test_predictions_are_answered_while_an_explanation_runs(
    client: TestClient, service: Service, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, explain = threading.Event(), threading.Event(), service.explanations.explain

    def slowly(matrix: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return explain(matrix)

    monkeypatch.setattr(service.explanations, "explain", slowly)
    body, answers = {"instances": golden["records"][:2]}, []
    waiting = threading.Thread(target=lambda: answers.append(client.post(EXPLAIN, json=body)))
    waiting.start()
    assert begun.wait(30)
    assert client.post(PREDICT, json=body).status_code == 200
    assert "ontime_rows_in_flight 2.0" in generate_latest(service.metrics.registry).decode()
    assert not answers
    go_on.set()
    waiting.join(30)
    assert answers[0].status_code == 200
    assert service.explanations.rows == 0


def test_an_error_within_an_explanation_is_answered(
    model: Any, settings: Settings, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(model, settings)

    def fail(_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.explanations, "explain", fail)
    answer = TestClient(make_app(service), raise_server_exceptions=False).post(
        EXPLAIN, json={"instances": golden["records"][:1]}
    )
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
    assert service.explanations.rows == 0
