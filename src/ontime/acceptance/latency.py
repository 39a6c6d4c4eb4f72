"""How long single predictions take at a stated rate.

Requests begin at fixed times, whether or not earlier ones were answered, and a latency counts from the time at which
its request should have begun: a service that stops for a while is seen as slow by all that waited.
"""

import math
import queue
import threading
import time
from http.client import HTTPConnection

from ontime.acceptance.checks import Target
from ontime.acceptance.client import predict_body, predictions_of
from ontime.common.errors import OntimeError

MOST_CONNECTIONS = 64


def check_latency(target: Target, rate: float, seconds: float, p50_limit: float, p99_limit: float) -> str:
    """Median and 99th percentile at `rate` requests per second, in milliseconds, against their limits.

    Raises:
        OntimeError: a limit is exceeded, or a request failed.
    """
    milliseconds, failures = _load(target, rate, seconds)
    ordered = sorted(milliseconds)
    p50, p99 = (_percentile(ordered, share) for share in (0.5, 0.99))
    total = len(milliseconds) + len(failures)
    target.figures |= {"rate": rate, "requests": total, "failed_requests": len(failures)}
    if failures:
        raise OntimeError(f"{len(failures)} of {total} requests failed, for example: {failures[0]}")
    target.figures |= {"p50_milliseconds": round(p50, 2), "p99_milliseconds": round(p99, 2)}
    found = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms at {rate:g} requests per second, {total} requests"
    if p50 > p50_limit or p99 > p99_limit:
        raise OntimeError(f"{found}; the limits are {p50_limit:g} and {p99_limit:g} ms")
    return found


def _percentile(ordered: list[float], share: float) -> float:
    """The smallest value that this share of all values does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan


def _load(target: Target, rate: float, seconds: float) -> tuple[list[float], list[str]]:
    """Milliseconds of each answered request, and why the others failed."""
    count = max(1, round(rate * seconds))
    path, bodies = f"{target.v1}:predict", [predict_body([record]) for record in target.golden.records]
    milliseconds: list[float] = []
    failures: list[str] = []
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        waiting.put(number)
    begin = time.monotonic() + 0.1

    def work() -> None:
        connection: HTTPConnection = target.client.connect()
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                connection.close()
                return
            due = begin + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            body = bodies[number % len(bodies)]
            try:
                headers = {"Content-Type": "application/json"}
                predictions_of(target.client.ask("POST", path, body, headers, connection))
                milliseconds.append(1000 * (time.monotonic() - due))
            except OntimeError as error:
                failures.append(str(error))
                connection = target.client.connect()

    workers = [threading.Thread(target=work) for _ in range(min(MOST_CONNECTIONS, count))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return milliseconds, failures
