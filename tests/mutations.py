"""Requests of each protocol with bytes changed at random, and how they are sent."""

import asyncio
import json
import random
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import numpy as np

Request = tuple[str, dict[str, str], bytes]
"""Path, headers and body."""


def sound(golden: dict[str, Any]) -> list[Request]:
    """A request in each form of both protocols, for the parcels' model."""
    records = golden["records"][:3]
    names = list(records[0])
    texts = {"depot", "service"}
    inputs: list[dict[str, Any]] = [
        {
            "name": name,
            "shape": [3],
            "datatype": "BYTES" if name in texts else "FP32",
            "data": [record[name] for record in records],
        }
        for name in names
    ]
    blobs = [
        b"".join(struct.pack("<I", len(record[name] or "")) + (record[name] or "").encode() for record in records)
        if name in texts
        else np.array([record[name] for record in records], dtype="<f4").tobytes()
        for name in names
    ]
    with_sizes = [
        {
            **{key: value for key, value in tensor.items() if key != "data"},
            "parameters": {"binary_data_size": len(blob)},
        }
        for tensor, blob in zip(inputs, blobs, strict=True)
    ]
    header = json.dumps({"inputs": with_sizes}).encode()
    infer, predict = "/v2/models/parcels/infer", "/v1/models/parcels:predict"
    return [
        (predict, {}, json.dumps({"instances": records}).encode()),
        (predict, {}, json.dumps({"inputs": {name: [record[name] for record in records] for name in names}}).encode()),
        (infer, {}, json.dumps({"inputs": inputs, "id": "a", "outputs": [{"name": "probability"}]}).encode()),
        (infer, {"inference-header-content-length": str(len(header))}, header + b"".join(blobs)),
        ("/v1/models/parcels:explain", {}, json.dumps({"instances": records}).encode()),
        (infer, {}, json.dumps({"inputs": inputs, "outputs": [{"name": "contributions"}]}).encode()),
    ]


def mutations(golden: dict[str, Any], count: int, seed: int) -> Iterator[Request]:
    """So many sound requests, each with some of its bytes changed, removed, repeated or replaced."""
    moments, requests = random.Random(seed), sound(golden)
    return (mutated(moments, moments.choice(requests)) for _ in range(count))


def mutated(moments: random.Random, request: Request) -> Request:
    """A request with some of its bytes changed, removed, repeated or replaced."""
    path, headers, body = request
    content = bytearray(body)
    for _ in range(moments.randint(1, 6)):
        offset = moments.randrange(len(content) + 1)
        kind = moments.randrange(5)
        if kind == 0 and content:
            content[offset % len(content)] = moments.randrange(256)
        elif kind == 1:
            del content[offset : offset + moments.randint(1, 40)]
        elif kind == 2:
            content[offset:offset] = content[offset : offset + moments.randint(1, 80)]
        elif kind == 3:
            tokens = [b"null", b"NaN", b"-1", b"1e999", b"[]", b"{}", b'""', b"true", b"\xff", b"18446744073709551616"]
            content[offset : offset + moments.randint(0, 8)] = moments.choice(tokens)
        else:
            content[offset:offset] = struct.pack("<I", moments.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF]))
    if "inference-header-content-length" in headers and moments.random() < 0.3:
        headers = {**headers, "inference-header-content-length": str(moments.randint(-5, len(content) + 5))}
    return path, headers, bytes(content)


async def send_all(url: str, requests: Iterable[Request], connections: int = 8) -> Counter[int]:
    """Send requests over some connections; how often each status came. None may be an error of the service."""
    counts: Counter[int] = Counter()
    waiting = iter(requests)

    async def worker(client: httpx2.AsyncClient) -> None:
        for path, headers, body in waiting:
            answer = await client.post(path, headers=headers, content=body)
            counts[answer.status_code] += 1
            assert answer.status_code < 500, (path, headers, body, answer.text)

    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.gather(*(worker(client) for _ in range(connections)))
    return counts
