"""Requests per second of the service against MLflow, MLServer, BentoML and the KServe SDK, and an empty route.

`python -m benchmarks.serving`. In: the champion, its golden records and its scikit-learn model; wrk. Each rival
serves the model twice: as a scikit-learn pipeline from records, which is what people meet first, and with the
service's ONNX Runtime session inside, from the encoded matrix. All have one worker and are asked in turns; every
answer is compared with the champion's released probabilities before a rate is taken. A rival's pipeline is put
together in its own environment, of the same scikit-learn and numpy as the trained estimator that it loads.

The goals are for the service with the logs that its rivals have, one line for each request; with its prediction log,
which is on unless a setting says otherwise and which no rival has, it is measured beside them; and once more with a
second model, which predicts the same rows for that log.
"""

import argparse
import itertools
import math
import os
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import astuple, replace
from pathlib import Path

from benchmarks.common import finish, print_table
from benchmarks.serving.environments import environment, megabytes
from benchmarks.serving.forms import RECORDS, TENSOR, Form, Rows, golden_rows
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.servers import (
    EMPTY_ROUTE,
    LOGGED,
    NOTHING,
    ONNX,
    ONTIME,
    PREPARE,
    SERVERS,
    SHADOWED,
    SKLEARN,
    Running,
    Workplace,
)
from ontime.common import paths

ROWS, CONNECTIONS = (1, 100), (1, 16)
HEADLINE = (1, 16)
"""The case that has goals."""
GOAL = {"times_sklearn": 60, "times_onnx": 5, "with_second_model": 0.77}
"""Requests per second with the prediction log, at least so many times those of the best rival; and with a second model
beside the first, of those without."""
OURS = (ONTIME, LOGGED, SHADOWED)

Case = tuple[int, int]
"""Rows of a request, and connections."""
Target = tuple[Running, Form]
Key = tuple[str, str, str]
"""Server, what is inside, and form of the body."""
Rates = dict[Key, dict[Case, Load]]


def start_all(workplace: Workplace, stack: ExitStack, rows: Rows) -> list[Running]:
    """Prepare and start every server, one after another, so that each start is measured alone."""
    for name in PREPARE:
        environment(name)
    for name in PREPARE:
        workplace.prepare(name)
    started = []
    for server in SERVERS:
        print(f"starting {server.name}, {server.inside}", flush=True)
        started.append(stack.enter_context(workplace.running(server, rows)))
    return started


def measure(targets: list[Target], body: Path, all_rows: dict[int, Rows], rounds: int, seconds: int) -> Rates:
    """Load every server in turn, case by case; the order is turned each round."""
    runs: dict[Key, dict[Case, list[Load]]] = {}
    for number, (rows, connections) in itertools.product(range(rounds), itertools.product(ROWS, CONNECTIONS)):
        print(f"round {number + 1}, {rows} rows, {connections} connections", flush=True)
        for running, form in targets if number % 2 == 0 else reversed(targets):
            server = running.server
            body.write_bytes(form.body(all_rows[rows]))
            before = running.cpu_seconds()
            load = run_wrk(running.port, form.path, body, connections, seconds)
            used = running.cpu_seconds() - before
            running.settle()
            load = replace(load, cpu=used / (load.rate * seconds) * 1e3 if load.rate else math.inf)
            by_case = runs.setdefault((server.name, server.inside, form.name), {})
            by_case.setdefault((rows, connections), []).append(load)
    return {key: {case: median(loads) for case, loads in by_case.items()} for key, by_case in runs.items()}


def median(loads: list[Load]) -> Load:
    """The median of each figure."""
    return Load(*(statistics.median(column) for column in zip(*(astuple(load) for load in loads), strict=True)))


def print_all(started: list[Running], rates: Rates) -> None:
    """Print the servers, then every case."""
    size = {name: megabytes(environment(name)) for name in PREPARE}
    lines = [
        [
            running.server.name,
            running.server.inside,
            f"{running.start_seconds:.1f}",
            f"{running.rss_megabytes():,.0f}",
            f"{size[running.server.environment]:,.0f}",
        ]
        for running in started
    ]
    print("start: seconds to the first right answer; memory after the load, all processes; what is installed, for both")
    print_table(["server", "inside", "start s", "RSS MB", "environment MB"], lines)
    lines = [
        [
            name,
            inside,
            form,
            f"{rows}",
            f"{connections}",
            f"{load.rate:,.0f}",
            f"{load.p50:.2f}",
            f"{load.p99:.2f}",
            f"{load.cpu:.3f}",
        ]
        for rows, connections in itertools.product(ROWS, CONNECTIONS)
        for (name, inside, form), by_case in rates.items()
        for load in [by_case[rows, connections]]
    ]
    print_table(["server", "inside", "body", "rows", "connections", "requests/s", "p50 ms", "p99 ms", "CPU ms"], lines)


def main() -> None:
    """Measure, print the tables and the verdict."""
    parser = argparse.ArgumentParser(description="requests per second against other model servers")
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is measured; medians are printed")
    parser.add_argument("--seconds", type=int, default=2, help="of each run")
    parser.add_argument("--source", type=Path, default=Path("src"), help="folder of the package ontime to measure")
    options = parser.parse_args()
    # so that the servers are stopped then as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    all_rows = {count: golden_rows(paths.CHAMPION, count) for count in ROWS}
    with tempfile.TemporaryDirectory(prefix="ontime-serving-") as temporary, ExitStack() as stack:
        started = start_all(Workplace(Path(temporary), options.source), stack, all_rows[1])
        targets = [(running, form) for running in started for form in running.server.forms]
        for (running, form), rows in itertools.product(targets, all_rows.values()):
            running.check(form, rows, *running.ask(form, rows))
        print(f"load average {os.getloadavg()[0]:.1f} before; {ONTIME}: access log on, to a file, as rivals have it")
        rates = measure(targets, Path(temporary) / "body.json", all_rows, options.rounds, options.seconds)
        print_all(started, rates)

    figure = compare({key: by_case[HEADLINE].rate for key, by_case in rates.items()})
    finish(figure=figure, goal=GOAL, ok=all(figure[name] >= least for name, least in GOAL.items()))


def compare(rate: dict[Key, float]) -> dict[str, float]:
    """Print what each of our lines is to the best rivals and the empty route; the figures that have a goal.

    Records stand against the scikit-learn pipelines, which take records, and the tensor against the ONNX sessions,
    which take the tensor; the empty route is given the same body.
    """
    own = {key: value for key, value in rate.items() if key[0] in OURS}
    best = {
        kind: max((value, name) for (name, inside, _), value in rate.items() if name not in OURS and inside == kind)
        for kind in (SKLEARN, ONNX)
    }
    of_empty = {key: value / rate[EMPTY_ROUTE, NOTHING, key[2]] for key, value in own.items()}
    for (name, inside, form), value in own.items():
        times = ", ".join(f"{value / most:.1f} times {rival} with {kind}" for kind, (most, rival) in best.items())
        share = of_empty[name, inside, form]
        print(f"{name}, {form}, {HEADLINE[0]} row, {HEADLINE[1]} connections: {times}; {share:.2f} of the empty route")
    return {
        "times_sklearn": round(own[LOGGED, ONNX, RECORDS] / best[SKLEARN][0], 1),
        "times_onnx": round(own[LOGGED, ONNX, TENSOR] / best[ONNX][0], 2),
        "with_second_model": round(
            min(own[SHADOWED, ONNX, form] / own[LOGGED, ONNX, form] for form in (RECORDS, TENSOR)), 3
        ),
    }


if __name__ == "__main__":
    main()
