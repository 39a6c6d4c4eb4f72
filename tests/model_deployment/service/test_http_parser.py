"""Requests are read alike in whatever pieces they come, and what is no request, or too large, is refused."""

import random
import time

import pytest

from ontime.model_deployment.service.http_parser import MOST_HEAD_BYTES, Parser, path_and_query
from ontime.model_deployment.service.protocol.messages import ClientError, Headers
from tests.model_deployment.service.http_requests import (
    CLOSING,
    H2C,
    WEBSOCKET,
    Request,
    chunked,
    closes,
    random_pieces,
    random_request,
)

FUZZ_SECONDS = 3


class Recorder:
    """Keeps the requests that its parser reads."""

    def __init__(self) -> None:
        self.parser = Parser(self)
        self.url, self.headers, self.body = b"", Headers(), b""
        self.found: list[Request] = []

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head = self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers
        self.headers = []

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.found.append(Request(*self.head, self.body))


def read(*pieces: bytes) -> list[Request]:
    """The requests of some reads."""
    recorder = Recorder()
    for piece in pieces:
        recorder.parser.feed_data(piece)
    return recorder.found


def refusal(*pieces: bytes) -> ClientError:
    """How the reads are refused."""
    with pytest.raises(ClientError) as raised:
        read(*pieces)
    return raised.value


def with_length(headers: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    """A POST whose body has a length."""
    return b"POST /a HTTP/%b\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (version, headers, len(body), body)


@pytest.mark.parametrize(
    ("offer", "version"),
    [(H2C, b"1.1"), (WEBSOCKET, b"1.1"), (CLOSING, b"1.1"), (H2C, b"1.0"), (WEBSOCKET, b"1.0")],
)
def test_an_offer_to_upgrade_is_declined_wherever_a_read_ends(offer: bytes, version: bytes) -> None:
    plain, offered = with_length(b"", b'{"a":1}'), with_length(offer, b'{"a":[1,2,3]}', version)
    content = plain + offered + offered + plain
    bodies = [b'{"a":1}', b'{"a":[1,2,3]}', b'{"a":[1,2,3]}', b'{"a":1}']
    if version == b"1.0" or offer == CLOSING:
        del bodies[2:]
    for split in range(len(content)):
        found = read(content[:split], content[split:])
        assert [request.body for request in found] == bodies, split
        assert all(name != b"upgrade" for request in found for name, _ in request.headers)
        assert found[1].version == version.decode()
    assert [request.body for request in read(*(bytes([byte]) for byte in content))] == bodies


def test_a_body_of_chunks_follows_a_declined_offer() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\n" + H2C + b"Transfer-Encoding: chunked\r\n\r\n"
    content = (head + chunked(b"0123456789", 3)) * 2
    for split in range(len(content)):
        assert [request.body for request in read(content[:split], content[split:])] == [b"0123456789"] * 2


def test_many_offers_may_come_in_one_read() -> None:
    content = b"GET /a HTTP/1.1\r\nHost: a\r\n" + H2C + b"\r\n"
    assert len(read(content * 5000)) == 5000


def test_requests_mean_the_same_in_whatever_pieces_they_come() -> None:
    moments, end, cases = random.Random(9110), time.monotonic() + FUZZ_SECONDS, 0
    while time.monotonic() < end:
        requests = [random_request(moments) for _ in range(moments.randint(1, 8))]
        expected = [request for _, request in requests]
        assert [read(content) for content, _ in requests] == [[request] for request in expected]
        pieces = random_pieces(moments, b"".join(content for content, _ in requests))
        last = next((number for number, request in enumerate(expected) if closes(request)), len(expected))
        assert read(*pieces) == expected[: last + 1], pieces
        cases += 1
    print(f"{cases} mixes of requests")
    assert cases > 100


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"GARBAGE\r\n\r\n", 400, "expected HTTP/1.1: Invalid method"),
        (b"post / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "expected HTTP/1.1: Invalid method"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "expected HTTP/1.1: Invalid HTTP version"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "expected HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400, "expected HTTP/1.1"),
        (b"GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n", 400, "expected HTTP/1.1: Invalid char in url"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "expected HTTP/1.1"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Host: expected once, found 0 times"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host: expected once, found 2 times"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT: this service is no proxy"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n" + H2C + b"\r\n", 405, "CONNECT: this service is no proxy"),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, status: int, error: str) -> None:
    found = refusal(content)
    assert (found.status, str(found)[: len(error)]) == (status, error)
    later = refusal(with_length(b"", b"{}") + content)
    assert (later.status, str(later)) == (status, str(found))


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length: -1",
        b"Content-Length: +2",
        b"Content-Length: 0x2",
        b"Content-Length: 2, 2",
        b"Content-Length:",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"X-A: 1\r\n 2",
        b"X-A: 1\x002",
        b"X-A : 1",
        b"X\xfc: 1",
        b": 1",
    ],
)
@pytest.mark.parametrize("offer", [b"", H2C])
def test_headers_that_two_servers_might_read_differently_are_refused(headers: bytes, offer: bytes) -> None:
    assert refusal(b"POST / HTTP/1.1\r\nHost: a\r\n" + offer + headers + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n").status == 400


def test_a_head_has_a_largest_size_in_whatever_pieces_it_comes() -> None:
    short = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \r\n\r\n"
    room = MOST_HEAD_BYTES - len(b"/") - len(b"Host: a\r\nX-A: \r\n")
    largest, larger = (short.replace(b"X-A: ", b"X-A: " + b"a" * count) for count in (room, room + 1))
    offered = short.replace(b"X-A: ", H2C + b"X-A: ")
    for split in (0, 5, 30, 40_000, MOST_HEAD_BYTES):
        assert len(read(largest[:split], largest[split:])) == 1
        assert refusal(larger[:split], larger[split:]).status == 431
        assert len(read(short + largest[:split], largest[split:] + offered)) == 3


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 100_000,
        b"\r\n" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"X-T: a\r\n" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: " + b"a" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 100_000,
    ],
)
def test_what_has_no_end_is_refused(endless: bytes) -> None:
    pieces = [endless[offset : offset + 1000] for offset in range(0, len(endless), 1000)]
    recorder, taken = Recorder(), 0
    with pytest.raises(ClientError) as raised:
        for piece in pieces:
            recorder.parser.feed_data(piece)
            taken += len(piece)
    assert raised.value.status == 431
    assert taken < MOST_HEAD_BYTES + 2000


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://host/v1/models/a:predict", b"/v1/models/a:predict"),
        (b"HTTP://host:8080/a?b=c", b"/a?b=c"),
        (b"http://[::1]:80/a%3Ab", b"/a%3Ab"),
        (b"http://host", b"/"),
        (b"http://host?a=b", b"/?a=b"),
    ],
)
def test_a_target_with_a_host_stands_for_its_path(target: bytes, expected: bytes) -> None:
    assert path_and_query(target) == expected


@pytest.mark.parametrize("target", [b"http://", b"http:///a"])
def test_a_target_that_is_no_url_is_refused(target: bytes) -> None:
    with pytest.raises(ClientError, match="target: expected a path"):
        path_and_query(target)
