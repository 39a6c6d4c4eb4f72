"""Both protocols give the released probabilities, and every client gets a reply within the limits."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings

INFER, PREDICT = "/v2/models/parcels/infer", "/v1/models/parcels:predict"


def gzipped(body: bytes) -> bytes:
    """Compressed without the time, because each worker of pytest-xdist must collect the same cases."""
    return gzip.compress(body, mtime=0)


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


@pytest.mark.parametrize(
    ("headers", "content", "status", "error"),
    [
        ({"content-type": "text/csv"}, b"1,2", 415, "Content-Type: expected application/json or"),
        (
            {"content-type": "application/json", "content-encoding": "br"},
            b"1",
            415,
            "Content-Encoding: expected gzip, deflate or none, found br",
        ),
        (
            {"content-encoding": "gzip, gzip"},
            gzipped(gzipped(b"{}")),
            415,
            "Content-Encoding: expected gzip, deflate or none, found gzip, gzip",
        ),
        ({"content-encoding": "gzip"}, b"1", 400, "body: expected gzip, as Content-Encoding says"),
        ({"content-encoding": "gzip"}, b"", 400, "body: expected gzip, as Content-Encoding says"),
        ({"content-encoding": "gzip"}, gzipped(b"") * 1025, 400, "body: expected gzip, as Content-Encoding says"),
        ({"content-encoding": "gzip"}, gzipped(b"{}") + b"1", 400, "body: expected gzip, as Content-Encoding"),
        ({"content-encoding": "deflate"}, zlib.compress(b"{}") * 2, 400, "body: expected deflate, as Content-Encoding"),
        (
            {"content-encoding": "gzip"},
            gzipped(b"{}")[:-4],
            400,
            "body: expected gzip, as Content-Encoding says",
        ),
        ({"content-encoding": "deflate"}, b"1", 400, "body: expected deflate, as Content-Encoding says"),
        (
            {"content-encoding": "gzip"},
            gzipped(b" " * 100_001),
            413,
            "body: expected at most 100000 bytes",
        ),
        (
            {"content-encoding": "gzip"},
            gzipped(b" " * 60_000) + gzipped(b" " * 60_000),
            413,
            "body: expected at most 100000 bytes",
        ),
        ({"content-type": "application/json"}, b"[" + b" " * 100_000, 413, "body: expected at most 100000 bytes"),
        ({"inference-header-content-length": "many"}, b"{}", 400, "Inference-Header-Content-Length: expected a number"),
        (
            {"inference-header-content-length": "9" * 5000},
            b"{}",
            400,
            "Inference-Header-Content-Length: expected a num",
        ),
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


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzipped),
        ("X-GZIP", lambda body: gzipped(body[:10]) + gzipped(body[10:])),
        ("gzip", lambda body: gzipped(b"") * 1000 + gzipped(body)),
        ("identity, GZip ,", gzipped),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("Identity", bytes),
        ("", bytes),
    ],
)
def test_a_compressed_body_is_read(
    client: TestClient, golden: dict[str, Any], encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps({"instances": golden["records"]}).encode())
    answer = client.post(PREDICT, content=body, headers={"content-encoding": encoding})
    assert answer.json()["predictions"] == pytest.approx(golden["probabilities"], abs=1e-5)


def test_a_compressed_body_that_is_refused_says_what_is_taken(client: TestClient) -> None:
    answer = client.post(PREDICT, content=b"1", headers={"content-encoding": "br"})
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("path", [INFER, PREDICT])
@pytest.mark.parametrize("nan", ["1", "NaN"])
def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(
    client: TestClient, service: Service, golden: dict[str, Any], path: str, nan: str
) -> None:
    record = golden["records"][0]
    body = {"instances": [record]} if path == PREDICT else features([record])
    text = json.dumps(body).replace(json.dumps(record["weight"]), nan, 1)
    strings = sorted(set(re.findall(r'"[a-z]+"', text)))
    assert len(strings) > 5
    for string in strings:
        answer = client.post(path, content=text.replace(string, string[:-1] + '\\ud83d"', 1))
        assert answer.status_code == 400, (string, answer.text)
        assert answer.json()["error"]
    assert service.batcher.rows == 0


def test_a_body_without_length_is_bounded_too(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b" " * 60_000 for _ in range(3))

    answer = client.post(INFER, content=pieces())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_full_queue_says_when_to_try_again(client: TestClient, service: Service, golden: dict[str, Any]) -> None:
    service.batcher.rows = service.batcher.max_queued_rows
    answer = client.post(PREDICT, json={"instances": golden["records"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == {"error": "the queue is full; try again later"}


def test_a_request_id_is_kept_or_made(client: TestClient, golden: dict[str, Any]) -> None:
    body = {"instances": golden["records"][:1]}
    assert client.post(PREDICT, json=body, headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    made = [client.post(PREDICT, json=body).headers["x-request-id"] for _ in range(2)]
    made.append(client.post(PREDICT, json=body, headers={"x-request-id": "with space"}).headers["x-request-id"])
    assert len(set(made)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{12}-\d+", found) for found in made)


def test_an_internal_error_is_answered_without_its_text(
    model: Champion, settings: Settings, golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(model, settings)

    def fail(_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.batcher, "predict", fail)
    client = TestClient(make_app(service), raise_server_exceptions=False)
    answer = client.post(PREDICT, json={"instances": golden["records"][:1]})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert client.get("/v2/health/live").status_code == 200
