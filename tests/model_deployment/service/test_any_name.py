"""A model with a feature of any name is served: asked for by that name, logged and described by it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.common.files import read_json, sha256
from ontime.model_deployment.inference.manifest import MANIFEST
from ontime.model_deployment.inference.signing import sign
from ontime.model_deployment.service.protocol.records import stand_ins
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.server import load_signed
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings

NAMES = {"depot": 'the "depot"\\\n', "weight": '"'}
RECORD = {"weight": 2.5, "fragile": 1, "depot": "north", "service": "day"}


def renamed(content: Any) -> Any:
    """JSON with the features' other names, wherever they stand."""
    if isinstance(content, dict):
        return {renamed(key): renamed(value) for key, value in content.items()}
    if isinstance(content, list):
        return [renamed(value) for value in content]
    return NAMES.get(content, content) if isinstance(content, str) else content


@pytest.fixture(scope="module")
def renamed_service(
    signed: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, TestClient]]:
    """The service around the small fork's model under other names, and a client of it."""
    folder = tmp_path_factory.mktemp("renamed") / "model"
    shutil.copytree(signed / "model", folder)
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(renamed(read_json(path))))
    manifest = read_json(folder / MANIFEST)
    for name, described in manifest["files"].items():
        described |= {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    sign(folder, folder.with_name("model.sig"), signed / "model.key")
    changed = settings.model_copy(update={"model": folder, "signature": folder.with_name("model.sig")})
    service = Service(load_signed(changed), changed)
    with TestClient(make_app(service)) as client:
        yield service, client


def named(record: dict[str, Any]) -> dict[str, Any]:
    return {NAMES.get(name, name): value for name, value in record.items()}


def test_rows_columns_and_tensors_name_the_feature_as_it_is_called(
    renamed_service: tuple[Service, TestClient], client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    service, other = renamed_service
    path = f"/v1/models/{service.model.name}:predict"
    expected = client.post(path, json={"instances": [RECORD]}).json()["predictions"]
    assert other.post(path, json={"instances": [named(RECORD)]}).json() == {"predictions": expected}
    columns = {name: [value] for name, value in named(RECORD).items()}
    assert other.post(path, json={"inputs": columns}).json() == {"outputs": expected}
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP32", "data": [value]}
        for name, value in named(RECORD).items()
    ]
    answer = other.post(f"/v2/models/{service.model.name}/infer", json={"inputs": tensors}).json()
    assert answer["outputs"][0]["data"] == expected
    explained = other.post(path.replace(":predict", ":explain"), json={"instances": [named(RECORD)]}).json()
    assert set(explained["explanations"][0]["contributions"]) == set(named(RECORD))
    service.log.flush()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    logged = [line["features"] for line in lines if line["event"] == "prediction" and "features" in line]
    assert logged
    assert all(features == named(RECORD) for features in logged)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"instances": [RECORD]}, "instances[0]: object contains unknown field `weight`"),
        ({"instances": [named(RECORD) | {"colour": 1}]}, "object contains unknown field `colour`"),
        ({"instances": [named(RECORD) | {NAMES["weight"]: "2.5"}]}, "expected `float | null`, got `str`"),
        ({"instances": 5}, "instances: expected `array`, got `int`"),
        ([], "expected `object`, got `array`"),
    ],
)
def test_a_wrong_request_is_refused(renamed_service: tuple[Service, TestClient], content: Any, reason: str) -> None:
    service, client = renamed_service
    answer = client.post(f"/v1/models/{service.model.name}:predict", json=content)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_redacted_feature_of_any_name_is_not_logged(renamed_service: tuple[Service, TestClient]) -> None:
    service, _ = renamed_service
    changed = service.settings.model_copy(update={"prediction_log_redact": [NAMES["depot"]]})
    other = Service(service.model, changed)
    record = other.records.record_of([1.0, 1.0, 2.0, 2.0])
    (found,) = other.records.with_names([other._redact(record)])
    assert set(found) == set(named(RECORD)) - {NAMES["depot"]}


def test_the_api_is_described_by_the_features_own_names(renamed_service: tuple[Service, TestClient]) -> None:
    _, client = renamed_service
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("Record", "Columns"):
        assert set(schemas[name]["properties"]) == set(schemas[name]["required"]) == set(named(RECORD))


def test_a_name_in_place_of_another_is_no_features_own() -> None:
    assert stand_ins(['"', "_", "\\", "a"]) == {'"': "__", "\\": "___"}
