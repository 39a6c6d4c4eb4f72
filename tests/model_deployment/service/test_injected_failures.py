"""Whichever call fails between a request's first byte and its answer: the client is answered, and nobody else suffers.

The calls are found by watching a request: every call that the project's code makes, to Python or to C. Then each of
them fails once, in a request of its own.
"""

import asyncio
import gzip
import json
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar

import numpy as np
import pytest
import uvicorn
import uvloop
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ontime
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service import one_write
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.server import server_config
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings
from ontime.model_deployment.service.tracing import TracedApplication

PACKAGE = str(Path(ontime.__file__).parent)
SENDING = {one_write.__file__}
"""What hands the answer to the socket; a failure there is a failure to send."""
pytestmark = pytest.mark.integration
EXCLUDED = {
    "RequestResponseCycle.send",
    "wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender",
    "TracedApplication.__call__.<locals>.send_and_see",
    "lock.__exit__",
}
"""Calls that hand the answer on to uvicorn, Starlette or a span, and the release of a lock, which cannot fail."""
STARTED = 8
"""Offset of the bytecode from which on a frame has begun, so that it is resumed and not called."""
SHADOWED = "with a second model and spans"
THREADED = ("many rows", "explain")
"""Requests that a thread computes."""
ANSWER_SECONDS = 2
PREDICT, INFER = "/v1/models/parcels:predict", "/v2/models/parcels/infer"

T = TypeVar("T")
Place = tuple[str, str, int, str]
"""Module, function and line of a call, and what is called."""


class InjectedError(Exception):
    """The failure that a test makes."""


@dataclass
class Watch:
    """A profile function that notes the places of calls, and fails the first call at the place that it is given."""

    fails: Place | None = None
    places: dict[Place, None] = field(default_factory=dict)
    failed: bool = False

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call" and frame.f_back is not None and frame.f_lasti <= STARTED:
            self.see(frame.f_back, frame.f_code.co_qualname)
        elif event == "c_call":
            self.see(frame, getattr(called, "__qualname__", repr(called)))

    def see(self, caller: FrameType, name: str) -> None:
        code: CodeType = caller.f_code
        if not code.co_filename.startswith(PACKAGE) or code.co_filename in SENDING or name in EXCLUDED:
            return
        place = (Path(code.co_filename).stem, code.co_qualname, caller.f_lineno, name)
        self.places.setdefault(place)
        if place == self.fails and not self.failed:
            self.failed = True
            raise InjectedError(str(place))


@asynccontextmanager
async def watching(watch: Watch) -> AsyncIterator[None]:
    """Watch this thread and those that are started meanwhile."""
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[int]:
    """The port of a server in this thread; with a second model it makes spans too."""
    app = make_app(service)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    traced = TracedApplication(app, provider, service.model) if service.shadow else app
    config = server_config(traced, service.settings)
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        # the event loop does not close before its server
        server.should_exit = server.force_exit = True
        await task


def request(path: str, body: bytes, *headers: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: a", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def answer(port: int, *contents: bytes, watch: Watch | None = None) -> list[bytes]:
    """The answers to requests that are sent at once, each on a connection of its own, while the server is watched."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in contents]
    await asyncio.sleep(0.002)
    async with watching(watch or Watch()):
        for (_, writer), content in zip(connections, contents, strict=True):
            writer.write(content)
        answers = await asyncio.gather(*(read(reader) for reader, _ in connections))
    for _, writer in connections:
        writer.close()
    return list(answers)


async def read(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes; nothing if it does not."""
    try:
        return await asyncio.wait_for(reader.read(), ANSWER_SECONDS)
    except TimeoutError:
        return b""


def is_whole(content: bytes) -> bool:
    """Whether an answer has a status and all the bytes that it announces."""
    head, _, body = content.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return head.startswith(b"HTTP/1.1 ") and lengths == [len(body)]


def requests(golden: dict[str, Any]) -> dict[str, bytes]:
    """Requests of every kind, right and wrong."""
    records = golden["records"]
    instances = json.dumps({"instances": records[:2]}).encode()
    tensors = [
        {
            "name": name,
            "shape": [1],
            "datatype": "BYTES" if name in ("depot", "service") else "FP32",
            "data": [records[0][name]],
        }
        for name in records[0]
    ]
    width = len(tensors)
    header = {
        "inputs": [
            {
                "name": "features",
                "shape": [1, width],
                "datatype": "FP32",
                "parameters": {"binary_data_size": 4 * width},
            }
        ]
    }
    json_header = json.dumps(header).encode()
    binary = json_header + np.ones(width, dtype="<f4").tobytes()
    with_nan = json.dumps({"instances": [records[0] | {"weight": float("nan")}]}).encode()
    many = json.dumps({"instances": [records[0]] * 60}).encode()
    return {
        "records": request(PREDICT, instances),
        "version": request("/v1/models/parcels/versions/1.2.3:predict", instances),
        "tensors": request(INFER, json.dumps({"inputs": tensors, "id": "a"}).encode(), "X-Request-Id: b"),
        "binary": request(INFER, binary, f"Inference-Header-Content-Length: {len(json_header)}"),
        "compressed": request(PREDICT, gzip.compress(instances), "Content-Encoding: gzip"),
        "upgrade": request(PREDICT, instances, "Connection: Upgrade", "Upgrade: h2c"),
        "NaN": request(PREDICT, with_nan),
        "many rows": request(PREDICT, many),
        "explain": request("/v1/models/parcels:explain", instances),
        SHADOWED: request(PREDICT, instances, f"traceparent: 00-{'1' * 32}-{'2' * 16}-01"),
        "wrong": request(PREDICT, b'{"instances": [{}]}'),
        "unknown": request("/v1/models/other:predict", instances),
        "live": b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    }


KINDS = list(requests({"records": [dict.fromkeys(("weight", "fragile", "depot", "service"), 0)] * 2}))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it on the event loop that the service uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


async def places_of(service: Service, content: bytes) -> list[Place]:
    """The places of all calls for a request that is not the first of its kind, so that caches are filled."""
    watch = Watch()
    async with serving(service) as port:
        await answer(port, content)
        (found,) = await answer(port, content, watch=watch)
    assert is_whole(found)
    return list(watch.places)


async def fail_at(place: Place, service: Service, port: int, content: bytes, other: bytes) -> str | None:
    """Why a failure at a place was not survived, None if it was."""
    watch = Watch(place)
    ours, others = await answer(port, content, other, watch=watch)
    (after,) = await answer(port, other)
    service.log.flush()
    if not watch.failed:
        return f"{place}: not reached"
    if not is_whole(ours) or not is_whole(others):
        return f"{place}: {ours[:200]!r}, {others[:200]!r}"
    if service.batcher.rows or not after.startswith(b"HTTP/1.1 200 "):
        return f"{place}: {service.batcher.rows} rows in flight, and then {after[:100]!r}"
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_may_fail_once_and_the_client_is_answered(
    model: Champion, settings: Settings, golden: dict[str, Any], kind: str
) -> None:
    content, other = requests(golden)[kind], requests(golden)["records"]
    shadow = model if kind == SHADOWED else None
    found = run(places_of(Service(model, settings, shadow), content))

    async def fail(places: list[Place]) -> list[str | None]:
        service = Service(model, settings, shadow)
        async with serving(service) as port:
            await answer(port, content)
            return [await fail_at(place, service, port, content, other) for place in places]

    # a thread is watched from its start until the first failure in it
    groups = [[place] for place in found] if kind in THREADED else [found]
    wrong = [reason for group in groups for reason in run(fail(group)) if reason]
    print(f"{kind}: {len(found)} calls found, {len(found) - len(wrong)} answered when they fail")
    assert len(found) > 10
    assert not wrong, "\n".join(wrong)
