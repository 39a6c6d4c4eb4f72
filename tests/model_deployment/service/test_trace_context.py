"""The header `traceparent` is taken as W3C Trace Context says, and anything else is ignored."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.trace_context import NO_TRACE, OWN_SPAN, Trace, caller_of, trace_of
from tests.services import log_lines

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE_ID}-{SPAN_ID}-01"
PREDICT = "/v1/models/parcels:predict"


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        HEADER[:-2] + "00",
        # flags that this version does not know
        HEADER[:-2] + "ff",
        # white space around a header's value is not part of it
        f"  {HEADER}\t",
        # a later version may have more fields
        "01" + HEADER[2:],
        f"cc{HEADER[2:]}-what-the-future-will-be-like",
        f"cc{HEADER[2:]}-",
    ],
)
def test_a_header_as_the_recommendation_has_it_is_taken(header: str) -> None:
    headers = [(b"host", b"a"), (b"traceparent", header.encode())]
    assert caller_of(headers) == (TRACE_ID, SPAN_ID)
    assert trace_of({"headers": headers}) == (TRACE_ID, SPAN_ID)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        HEADER[:-1],
        HEADER + "-",
        HEADER + "-what-the-future-will-be-like",
        HEADER + "0",
        "cc" + HEADER[2:] + ".what",
        "cc" + HEADER[2:] + "0",
        "ff" + HEADER[2:],
        "0" + HEADER,
        "0x" + HEADER[2:],
        "FF" + HEADER[2:],
        HEADER.upper(),
        HEADER.replace("-", "_"),
        HEADER.replace("-", " "),
        HEADER.replace(TRACE_ID, "0" * 32),
        HEADER.replace(SPAN_ID, "0" * 16),
        HEADER.replace(TRACE_ID, TRACE_ID + "0"),
        HEADER.replace(TRACE_ID, TRACE_ID[:-1] + "."),
        HEADER.replace(SPAN_ID, SPAN_ID[:-1]),
        HEADER.replace(SPAN_ID, SPAN_ID[:-1] + "g"),
        HEADER[:-2] + ".0",
        f"{HEADER},{HEADER}",
        f"{HEADER}\n",
        f"{HEADER}\x00",
        "4bf92f",
        "\u0664" * 55,
    ],
)
def test_any_other_header_is_ignored(header: str) -> None:
    headers = [(b"traceparent", header.encode())]
    assert caller_of(headers) is None
    assert trace_of({"headers": headers}) == NO_TRACE


def test_of_two_headers_neither_is_taken() -> None:
    assert caller_of([(b"traceparent", HEADER.encode())] * 2) is None
    assert caller_of([]) is None


def test_the_span_of_the_service_comes_before_that_of_its_caller() -> None:
    own = Trace("1" * 32, "2" * 16)
    assert trace_of({"headers": [(b"traceparent", HEADER.encode())], OWN_SPAN: own}) == own


def test_the_lines_of_a_request_carry_its_trace(
    client: TestClient, service: Service, golden: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"instances": golden["records"][:2]}
    assert client.post(PREDICT, json=body, headers={"traceparent": HEADER}).status_code == 200
    assert client.post(PREDICT, json={}, headers={"traceparent": HEADER}).status_code == 400
    for wrong in (b"wrong", b"\xff"):
        assert client.post(PREDICT, json=body, headers=[(b"traceparent", wrong)]).status_code == 200
    service.log.flush()
    printed = capfd.readouterr().out
    requests, predictions = log_lines(printed, "request"), log_lines(printed, "prediction")
    assert [line.get("trace_id") for line in requests] == [TRACE_ID, TRACE_ID, None, None]
    assert [line.get("trace_id") for line in predictions] == [TRACE_ID] * 2 + [None] * 4
    assert {line.get("span_id") for line in requests} == {SPAN_ID, None}
    assert not any("trace_id" in line or "span_id" in line for line in [*requests[2:], *predictions[2:]])
