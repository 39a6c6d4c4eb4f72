"""A day of a table asked of a service, and what its log says of that."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import requests

CLIENTS = 4
REQUESTS_PER_CONNECTION = 10
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Answers:
    """What clients saw: requests sent, and why some failed."""

    requests: int
    failures: list[str]


def ask(address: str, model: str, day: date, keys: Sequence[str], records: Sequence[dict[str, Any]]) -> Answers:
    """Ask a service about each row of a day in a request of its own, over connections that are opened again and again.

    Args:
        address: host and port.
        keys: of each row, which the service logs.
        records: features of each row by name.
    """
    url = f"http://{address}/v1/models/{model}:predict"
    asked = [
        (f"{day}/{key}", {"instances": [record], "keys": [key]}) for key, record in zip(keys, records, strict=True)
    ]
    parts = [asked[place : place + REQUESTS_PER_CONNECTION] for place in range(0, len(asked), REQUESTS_PER_CONNECTION)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        failures = [reason for found in pool.map(lambda part: list(_failures(url, part)), parts) for reason in found]
    return Answers(len(asked), failures)


def _failures(url: str, asked: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    with requests.Session() as session:
        session.trust_env = False
        for request_id, body in asked:
            try:
                answer = session.post(url, json=body, headers={"X-Request-Id": request_id}, timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                yield f"{request_id}: {type(error).__name__} {error}"[:200]
            else:
                if answer.status_code != requests.codes.ok or not 0 < answer.json()["predictions"][0] < 1:
                    yield f"{request_id}: {answer.status_code} {answer.text}"[:200]


def keys_of(lines: Iterable[bytes]) -> list[str]:
    """The keys of the predicted rows of some lines."""
    found = (json.loads(line) for line in lines)
    return [line["key"] for line in found if line["event"] == "prediction"]
