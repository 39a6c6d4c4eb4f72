"""A day of a table asked of a service, and the service's log of it, moved to that day.

The service stamps its lines with the time that it is, and a replayed day takes seconds; so `moved` gives the lines of
the day's requests the day's date, and leaves out what others asked meanwhile. Nothing else of a line is touched.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import requests

CLIENTS = 4
REQUESTS_PER_CONNECTION = 10
TIMEOUT_SECONDS = 10
REQUEST_ID = re.compile(rb'"request_id":"(\d{4}-\d\d-\d\d)/')
STAMP = re.compile(rb'"time":"\d{4}-\d\d-\d\dT')


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


def moved(lines: Iterable[bytes], day: date) -> Iterator[bytes]:
    """The log's lines of a day's requests, with the day's date in place of the one that they were written on."""
    for line in lines:
        found = REQUEST_ID.search(line)
        if found is not None and found[1].decode() == str(day):
            yield STAMP.sub(f'"time":"{day}T'.encode(), line, count=1)


def keys_of(lines: Iterable[bytes]) -> list[str]:
    """The keys of the predicted rows of some lines."""
    found = (json.loads(line) for line in lines)
    return [line["key"] for line in found if line["event"] == "prediction"]
