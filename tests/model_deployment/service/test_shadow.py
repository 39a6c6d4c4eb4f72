"""A second model predicts the rows of answered requests for the log alone, whatever becomes of it."""

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from ontime.common.errors import OntimeError
from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.inference.prediction_log import PredictionLine
from ontime.model_deployment.inference.signing import make_key, sign
from ontime.model_deployment.service.log import OnceAMinute, RequestPredictions
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.server import command, load_service, load_shadow
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.model_deployment.service.shadow import BATCH_ROWS, batches, check_features
from ontime.model_deployment.service.trace_context import NO_TRACE
from tests.services import log_lines, threshold_of

INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"
TEXTS = ("depot", "service")


@pytest.fixture
def service(model: Champion, second: Champion, settings: Settings) -> Service:
    """A service with the second model as its shadow; no thread runs it."""
    return Service(model, settings, second)


def shadow_lines(service: Service, capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What the shadow logs of the requests so far."""
    assert service.shadow
    service.shadow.flush()
    service.log.flush()
    return log_lines(capfd.readouterr().out, "shadow")


def probabilities(model: Champion, records: list[dict[str, Any]]) -> list[float]:
    """What a model says of records, which its encoder reads column by column."""
    columns = {name: [record[name] for record in records] for name in model.encoder.features}
    return [float(value) for value in model.predict(model.encoder.transform(columns))]


def columns_of(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


def tensors_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [len(values)], "datatype": "BYTES" if name in TEXTS else "FP32", "data": values}
        for name, values in columns_of(records).items()
    ]


def encoded(model: Champion, records: list[dict[str, Any]]) -> list[list[float | None]]:
    """A model's matrix of records as JSON has it."""
    matrix = model.encoder.transform(columns_of(records)).tolist()
    return [[None if np.isnan(value) else value for value in row] for row in matrix]


def request_of(form: str, model: Champion, records: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Path and body of a request for records in one of the five forms."""
    if form == "records":
        return PREDICT, {"instances": records}
    if form == "columns":
        return PREDICT, {"inputs": columns_of(records)}
    if form == "tensors":
        return INFER, {"inputs": tensors_of(records)}
    matrix = encoded(model, records)
    if form == "encoded rows":
        return PREDICT, {"instances": matrix}
    flat = [value for row in matrix for value in row]
    return INFER, {"inputs": [{"name": "features", "shape": [len(matrix), 4], "datatype": "FP32", "data": flat}]}


@pytest.mark.parametrize("form", ["records", "columns", "tensors", "encoded rows", "encoded tensor"])
def test_the_second_model_is_logged_and_the_answer_stays_that_of_the_first(
    service: Service,
    client: TestClient,
    model: Champion,
    second: Champion,
    settings: Settings,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    form: str,
) -> None:
    records = golden["records"]
    assert {record["depot"] for record in records} >= {"north", "south", "east", None}
    path, body = request_of(form, model, records)
    answer = client.post(path, json=body, headers={"x-request-id": "a"})
    assert answer.status_code == 200
    assert answer.content == TestClient(make_app(Service(model, settings))).post(path, json=body).content
    found = shadow_lines(service, capfd)
    expected = probabilities(second, records)
    assert [line["probability"] for line in found] == pytest.approx(expected, abs=1e-6)
    assert [line["decision"] for line in found] == [value >= threshold_of(second) for value in expected]
    assert {(line["request_id"], line["model"], line["model_version"]) for line in found} == {("a", "parcels", "2.0.0")}
    assert not any("features" in line for line in found)
    assert np.abs(np.array(expected) - golden["probabilities"]).max() > 0.01


def test_a_category_that_only_the_second_model_knows_reaches_it_in_records(
    service: Service,
    client: TestClient,
    model: Champion,
    second: Champion,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    record = golden["records"][0] | {"depot": "west"}
    known, unknown = probabilities(second, [record, record | {"depot": "the moon"}])
    assert abs(known - unknown) > 1e-4
    for form, expected in (("records", known), ("encoded rows", unknown)):
        path, body = request_of(form, model, [record])
        client.post(path, json=body)
        (line,) = shadow_lines(service, capfd)
        assert line["probability"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("form", ["records", "encoded tensor"])
def test_the_features_of_the_second_model_may_have_another_order(
    model: Champion, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str], form: str
) -> None:
    encoder = Encoder(("fragile", "weight"), {"service": ("night", "day"), "depot": ("north", "east")})
    turned = replace(model, encoder=encoder, may_be_missing=model.may_be_missing[[1, 0, 3, 2]])
    service = Service(model, settings, turned)
    path, body = request_of(form, model, golden["records"])
    assert TestClient(make_app(service)).post(path, json=body).status_code == 200
    found = [line["probability"] for line in shadow_lines(service, capfd)]
    assert found == pytest.approx(probabilities(turned, golden["records"]), abs=1e-6)


def test_lines_of_a_shadow_decode_by_the_type_of_a_prediction(
    service: Service, client: TestClient, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    client.post(PREDICT, json={"instances": golden["records"][:1]})
    assert service.shadow
    service.shadow.flush()
    service.log.flush()
    (line,) = [line for line in capfd.readouterr().out.splitlines() if '"event":"shadow"' in line]
    decoded = msgspec.json.decode(line, type=PredictionLine, strict=True)
    assert (decoded.event, decoded.features, decoded.trace_id) == ("shadow", msgspec.UNSET, msgspec.UNSET)


def test_a_shadow_that_fails_is_logged_and_counted_and_costs_no_answer(
    model: Champion,
    second: Champion,
    settings: Settings,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = replace(second, manifest=second.manifest.model_copy(update={"output": "nothing"}))
    service = Service(model, settings, broken)
    client = TestClient(make_app(service))
    for _ in range(2):
        answer = client.post(PREDICT, json={"instances": golden["records"]})
        assert answer.json()["predictions"] == pytest.approx(golden["probabilities"], abs=1e-5)
    assert shadow_lines(service, capfd) == []
    assert service.shadow
    assert (service.shadow.rows, service.shadow.failed) == (0, 2 * len(golden["records"]))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "nothing" in caplog.text
    assert {record.name.startswith(OnceAMinute.SELDOM) for record in caplog.records} == {True}


def test_rows_that_the_second_model_refuses_cost_no_other_row(
    model: Champion,
    second: Champion,
    settings: Settings,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    strict = replace(second, may_be_missing=np.zeros_like(second.may_be_missing))
    service = Service(model, settings, strict)
    client = TestClient(make_app(service))
    complete = next(record for record in golden["records"] if None not in record.values())
    for name, record in (("a", complete), ("b", complete | {"weight": None}), ("c", complete)):
        assert client.post(PREDICT, json={"instances": [record]}, headers={"x-request-id": name}).status_code == 200
    assert [line["request_id"] for line in shadow_lines(service, capfd)] == ["a", "c"]
    assert service.shadow
    assert (service.shadow.rows, service.shadow.failed) == (2, 1)
    assert "weight: row 0: missing" in caplog.text
    assert "Traceback" not in caplog.text


def test_rows_that_find_the_queue_full_are_skipped_and_counted(
    model: Champion, second: Champion, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    service = Service(model, settings.model_copy(update={"shadow_queue_rows": 5}), second)
    client = TestClient(make_app(service))
    for name in "abc":
        body = {"instances": golden["records"][:2]}
        assert client.post(PREDICT, json=body, headers={"x-request-id": name}).status_code == 200
    assert [line["request_id"] for line in shadow_lines(service, capfd)] == ["a", "a", "b", "b"]
    client.post(PREDICT, json={"instances": golden["records"][:5]}, headers={"x-request-id": "d"})
    assert [line["request_id"] for line in shadow_lines(service, capfd)] == ["d"] * 5
    shown = generate_latest(service.metrics.registry).decode()
    assert "ontime_shadow_rows_total 9.0" in shown
    assert "ontime_shadow_rows_skipped_total 2.0" in shown


def test_the_metrics_are_at_zero_from_the_start_and_only_with_a_shadow(
    service: Service, model: Champion, settings: Settings
) -> None:
    shown = generate_latest(service.metrics.registry).decode()
    for name in ("ontime_shadow_rows", "ontime_shadow_rows_skipped", "ontime_shadow_rows_failed"):
        assert f"{name}_total 0.0" in shown
    assert "shadow" not in generate_latest(Service(model, settings).metrics.registry).decode()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_shadow_predicts_the_requests_whose_predictions_are_logged(
    model: Champion,
    second: Champion,
    settings: Settings,
    golden: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    share: float,
) -> None:
    service = Service(model, settings.model_copy(update={"prediction_log_share": share}), second)
    client = TestClient(make_app(service))
    for _ in range(40):
        client.post(PREDICT, json={"instances": golden["records"][:1]})
    assert service.shadow
    service.shadow.flush()
    service.log.flush()
    printed = capfd.readouterr().out
    predicted, shadowed = (
        [line["request_id"] for line in log_lines(printed, event)] for event in ("prediction", "shadow")
    )
    assert predicted == shadowed
    assert (len(predicted) > 0) == (share > 0)
    assert len(predicted) < 40


def test_features_left_out_of_the_log_reach_the_second_model(
    model: Champion, second: Champion, settings: Settings, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    service = Service(model, settings.model_copy(update={"prediction_log_redact": ["depot", "weight"]}), second)
    TestClient(make_app(service)).post(PREDICT, json={"instances": golden["records"]})
    service.log.flush()
    assert all("depot" not in line["features"] for line in log_lines(capfd.readouterr().out, "prediction"))
    found = [line["probability"] for line in shadow_lines(service, capfd)]
    assert found == pytest.approx(probabilities(second, golden["records"]), abs=1e-6)


def test_the_thread_predicts_without_being_asked_and_finishes_at_the_end(
    service: Service, client: TestClient, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    service.start()
    assert service.shadow
    for _ in range(5):
        client.post(PREDICT, json={"instances": golden["records"][:1]})
    end = time.monotonic() + 10
    while service.shadow.rows < 5 and time.monotonic() < end:
        time.sleep(0.05)
    assert service.shadow.rows == 5
    client.post(PREDICT, json={"instances": golden["records"]})
    service.close()
    assert len(log_lines(capfd.readouterr().out, "shadow")) == 5 + len(golden["records"])


def test_rows_of_several_requests_run_together_by_their_form(model: Champion) -> None:
    def request(number: int, rows: int, is_records: bool) -> RequestPredictions:
        content = [None] * rows if is_records else np.zeros((rows, 4), np.float32)
        return RequestPredictions(0, "prediction", str(number), NO_TRACE, model, content, np.zeros(rows, np.float32))

    sizes = [1, 1, BATCH_ROWS - 2, 1, 2 * BATCH_ROWS, 1]
    queue = [request(number, rows, number != 1) for number, rows in enumerate(sizes)]
    found = [[int(one.request_id) for one in batch] for batch in batches(queue)]
    assert found == [[0, 2, 3], [4], [5], [1]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "colour"}, "weight is missing, in the model that answers it is a number"),
        ({"type": "category"}, "weight is a category, in the model that answers it is a number"),
    ],
)
def test_a_second_model_of_other_features_is_refused(
    model: Champion, second: Champion, settings: Settings, changes: dict[str, str], reason: str
) -> None:
    first, *others = second.manifest.features
    assert first.name == "weight"
    other = second.manifest.model_copy(update={"features": [first.model_copy(update=changes), *others]})
    with pytest.raises(OntimeError, match=f"^{PREFIX}SHADOW: {reason}; both need the same features$"):
        Service(model, settings, replace(second, manifest=other))
    with pytest.raises(OntimeError, match="colour is a number, in the model that answers it is missing"):
        more = [*second.manifest.features, first.model_copy(update={"name": "colour"})]
        check_features(replace(second, manifest=other.model_copy(update={"features": more})), model)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("golden.json", "not what was signed"),
        ("model.sig", "no signature; sign the model"),
        ("model.key", "not signed by"),
    ],
)
def test_a_second_model_is_verified_like_the_first(
    with_second: Settings, tmp_path: Path, name: str, reason: str
) -> None:
    assert with_second.shadow
    folder = Path(shutil.copytree(with_second.shadow, tmp_path / "model"))
    shutil.copy(with_second.shadow.with_name("model.sig"), tmp_path / "model.sig")
    if name == "golden.json":
        (folder / name).write_text((folder / name).read_text().replace("0.", "0.9", 1))
    elif name == "model.sig":
        (tmp_path / name).unlink()
    else:
        make_key(tmp_path / name)
        sign(folder, tmp_path / "model.sig", tmp_path / name)
    with pytest.raises(OntimeError, match=reason):
        load_shadow(with_second.model_copy(update={"shadow": folder}))


def test_the_signature_of_a_second_model_may_lie_elsewhere(with_second: Settings, tmp_path: Path) -> None:
    assert with_second.shadow
    elsewhere = Path(shutil.copy(with_second.shadow.with_name("model.sig"), tmp_path / "other.sig"))
    found = load_service(with_second.model_copy(update={"shadow_signature": elsewhere})).shadow
    assert found
    assert found.model.version == "2.0.0"


def test_a_check_names_both_models(with_second: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("model", "signature", "public_key", "model_version", "shadow", "shadow_version"):
        monkeypatch.setenv(PREFIX + name.upper(), str(getattr(with_second, name)))
    done = CliRunner().invoke(command, ["--check"])
    assert [line.split(": ")[:2] for line in done.output.splitlines()] == [
        ["parcels 1.2.3", "signature and golden records verified; model.onnx has SHA-256 " + done.output.split()[-1]],
        ["parcels 2.0.0", "signature and golden records verified; model.onnx has SHA-256 " + done.output.split()[-1]],
    ]
