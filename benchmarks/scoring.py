"""Rows per second of `ontime score` against ONNX Runtime alone on matrices that are ready in memory.

`python -m benchmarks.scoring`. In: data/processed/features and models/champion. Ours reads, encodes, scores and writes
every partition, with as many processes as the rival's session has threads; rounds of both alternate in one process.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import finish, measure, print_table, run_task
from ontime import paths
from ontime.environment import PINNED

LEAST_SHARE = 0.7
BACKENDS = {1: "sequential", 2: "loky"}
"""Backend by number of processes."""
SAME = 1e-6
"""Sums of trees differ in their last bits with the number of threads."""


def compare(features: str, champion: str, work: str, processes: int, rounds: int) -> dict[str, Any]:
    """Seconds of each round of both, after one that starts workers; greatest difference of their probabilities."""
    import numpy as np
    import pyarrow.parquet as pq

    from ontime.encoder import Encoder
    from ontime.files import partitions, read_json, read_parquet
    from ontime.model_deployment.batch import score
    from ontime.model_deployment.service.model import open_session

    names = partitions(Path(features))
    encoder = Encoder.from_vocabulary(read_json(Path(champion) / "vocabulary.json"))
    manifest = read_json(Path(champion) / "manifest.json")
    session = open_session(Path(champion) / "model.onnx", threads=processes)
    matrices = []
    for name in names:
        frame = read_parquet(Path(features) / f"{name}.parquet")
        matrices.append(encoder.transform({column: frame[column].to_numpy() for column in encoder.features}))

    def ours(number: int) -> float:
        started = time.perf_counter()
        score(Path(features), Path(work) / str(number), Path(champion), missing="null", backend=BACKENDS[processes])
        return time.perf_counter() - started

    def alone() -> tuple[float, list[Any]]:
        started = time.perf_counter()
        answers = [session.run([manifest["output"]], {manifest["input"]: matrix})[0] for matrix in matrices]
        return time.perf_counter() - started, answers

    first, (_, answers) = ours(0), alone()
    differences = []
    for name, answer in zip(names, answers, strict=True):
        scored = pq.read_table(Path(work) / "0" / f"{name}.parquet", columns=["probability"])["probability"].to_numpy()
        differences.append(float(np.nanmax(np.abs(scored - answer))))
    seconds = [(ours(number), alone()[0]) for number in range(1, rounds + 1)]
    return {
        "rows": sum(map(len, matrices)),
        "first": first,
        "ours": [pair[0] for pair in seconds],
        "alone": [pair[1] for pair in seconds],
        "difference": max(differences),
        "output_mib": sum(path.stat().st_size for path in (Path(work) / "0").iterdir()) / 2**20,
        "input_mib": sum((Path(features) / f"{name}.parquet").stat().st_size for name in names) / 2**20,
    }


def main() -> None:
    """Print a table and the verdict."""
    parser = argparse.ArgumentParser(description="ontime score against ONNX Runtime alone")
    parser.add_argument("--rounds", type=int, default=7, help="of both, alternating; the middle one counts")
    rounds = parser.parse_args().rounds
    table, shares = [], {}
    for processes, backend in BACKENDS.items():
        with tempfile.TemporaryDirectory(prefix="ontime-scoring-") as work:
            done = measure(
                "benchmarks.scoring",
                "compare",
                str(paths.FEATURES.absolute()),
                str(paths.CHAMPION.absolute()),
                work,
                processes,
                rounds,
                env={**PINNED, "OMP_NUM_THREADS": str(processes)},
            )
        found = done.result
        if not found["difference"] <= SAME:
            sys.exit(f"{backend}: probabilities differ by up to {found['difference']:.1e}")
        ours, alone = (statistics.median(found[way]) for way in ("ours", "alone"))
        shares[processes] = statistics.median(b / a for a, b in zip(found["ours"], found["alone"], strict=True))
        rows = found["rows"]
        table += [
            [f"ONNX Runtime alone, {processes} threads", f"{alone:.2f}", f"{rows / alone:,.0f}", "1.00", ""],
            [
                f"ontime score, {backend}, {processes} processes",
                f"{ours:.2f}",
                f"{rows / ours:,.0f}",
                f"{shares[processes]:.2f}",
                f"{found['first']:.2f}",
            ],
        ]
    print_table(["", "seconds", "rows/s", "share", "first call, seconds"], table)
    print(
        f"{rows:,} rows, {found['input_mib']:.1f} MiB in, {found['output_mib']:.1f} MiB out; "
        f"greatest difference of a probability {found['difference']:.1e}"
    )
    finish(
        figure={f"share_with_{processes}": round(share, 3) for processes, share in shares.items()},
        goal={"share": LEAST_SHARE},
        ok=min(shares.values()) >= LEAST_SHARE,
    )


TASKS = {"compare": compare}


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
