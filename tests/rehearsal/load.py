"""Load on a service over keep-alive connections: how many requests, how many failed, and which version answered.

In: address, path, bodies and a rate. Out: a JSON file, written anew twice a second and at the end. A connection is
closed by the client after some requests and opened again, as clients and proxies do; so a new pod gets its share.
A request fails if it is answered with anything but 200, not answered, or finds nobody to connect to.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import uvloop

from ontime.common.files import write_json

CONNECTIONS = 16
REQUESTS_PER_CONNECTION = 100
TIMEOUT_SECONDS = 10
WRITE_SECONDS = 0.5
RETRY_SECONDS = 0.1
VERSION = re.compile(rb'"model_version":"([^"]+)"')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Tally:
    """What the clients saw."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        """Time of the first answer of each version, seconds since 1970."""
        self.last: dict[str, float] = {}
        self.milliseconds: Counter[int] = Counter()

    def answered(self, version: str, seconds: float) -> None:
        """Count an answer with status 200."""
        self.requests += 1
        self.versions[version] += 1
        now = time.time()
        self.first.setdefault(version, now)
        self.last[version] = now
        self.milliseconds[int(seconds * 1000)] += 1

    def failed(self, why: str) -> None:
        """Count a request without one."""
        self.requests += 1
        self.failures[why] += 1

    def content(self) -> dict[str, object]:
        """All of it as JSON."""
        return {
            "requests": self.requests,
            "failures": self.failures.total(),
            "reasons": dict(self.failures),
            "versions": dict(self.versions),
            "first": self.first,
            "last": self.last,
            "p50_ms": self.quantile(0.5),
            "p99_ms": self.quantile(0.99),
        }

    def quantile(self, share: float) -> int | None:
        """Milliseconds that this share of the answers took at most, rounded down."""
        below = 0
        for value in sorted(self.milliseconds):
            below += self.milliseconds[value]
            if below >= share * self.milliseconds.total():
                return value
        return None


class Answer:
    """One answer: status, body, and whether the server closes the connection behind it."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.status = int(head.split(b" ", 2)[1])
        self.closes = bool(CLOSES.search(head))
        found = VERSION.search(body)
        self.version = found[1].decode() if found else "none"


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    """Send a request and read its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    if length is None:
        raise OSError("no content length")
    return Answer(head, await reader.readexactly(int(length[1])))


async def client(
    host: str, port: int, requests: list[bytes], interval: float, tally: Tally, end: asyncio.Event
) -> None:
    """Send one request after the other until the end, at most one in each interval."""
    place, sent, due = 0, 0, time.monotonic()
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while True:
        due = max(due + interval, time.monotonic() - interval)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if end.is_set():
            break
        begun, place = time.monotonic(), (place + 1) % len(requests)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection(host, port)
                    sent = 0
                answer = await ask(reader, writer, requests[place])
            sent += 1
            closes = answer.closes or sent == REQUESTS_PER_CONNECTION
            if answer.status == 200:
                tally.answered(answer.version, time.monotonic() - begun)
            else:
                tally.failed(f"status {answer.status}")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, RuntimeError) as error:
            # the last is uvloop's, of a connection that the other side has closed
            closes = True
            tally.failed(f"{type(error).__name__} {error}"[:80])
            await asyncio.sleep(RETRY_SECONDS)
        if closes and writer is not None:
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


async def load(address: str, path: str, bodies: list[str], rate: float, output: Path) -> None:
    """Run the clients until SIGTERM, or until whoever started this is gone."""
    parent = os.getppid()
    host, _, port = address.rpartition(":")
    tally, end = Tally(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        for body in bodies
    ]
    clients = [
        asyncio.create_task(
            client(host, int(port), requests[place:] + requests[:place], CONNECTIONS / rate, tally, end)
        )
        for place in range(CONNECTIONS)
    ]
    while not end.is_set() and os.getppid() == parent:
        write_json(output, tally.content())
        await asyncio.sleep(WRITE_SECONDS)
    end.set()
    await asyncio.gather(*clients)
    write_json(output, tally.content())


def main() -> None:
    """Load the service that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("path")
    parser.add_argument("bodies", type=Path, help="a JSON list of request bodies")
    parser.add_argument("output", type=Path)
    parser.add_argument("--rate", type=float, default=500, help="requests a second over all connections, at most")
    given = parser.parse_args()
    bodies = [json.dumps(body) for body in json.loads(given.bodies.read_text())]
    uvloop.run(load(given.address, given.path, bodies, given.rate, given.output))


if __name__ == "__main__":
    main()
