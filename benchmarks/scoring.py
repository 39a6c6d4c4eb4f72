"""Rows per second of `ontime score` against ONNX Runtime alone on matrices that are ready in memory.

`python -m benchmarks.scoring`. In: data/processed/features and models/champion. Ours reads, encodes, scores and writes
every partition, with as many processes as the rival's session has threads; rounds of both alternate in one process,
whose processor seconds vary less on a busy machine (and leave out what other processes do).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import finish, measure, print_table, run_task
from ontime.common import paths
from ontime.common.environment import PINNED

LEAST_SHARE = 0.7
BACKENDS = {1: "sequential", 2: "loky"}
"""Backend by number of processes."""
SAME = 1e-6
"""Sums of trees differ in their last bits with the number of threads."""


def compare(features: str, champion: str, work: str, processes: int, rounds: int) -> dict[str, Any]:
    """Seconds of each round of both, after one that starts workers; greatest difference of their probabilities."""
    import numpy as np
    import pyarrow.parquet as pq

    from ontime.common.files import partitions, read_parquet
    from ontime.model_deployment.batch.score import score
    from ontime.model_deployment.inference.champion import open_session, read_encoder
    from ontime.model_deployment.inference.manifest import MODEL, read_manifest

    names = partitions(Path(features))
    manifest = read_manifest(Path(champion))
    encoder = read_encoder(Path(champion), manifest)
    session = open_session(Path(champion) / MODEL, threads=processes)
    matrices = []
    for name in names:
        frame = read_parquet(Path(features) / f"{name}.parquet")
        matrices.append(encoder.transform({column: frame[column].to_numpy() for column in encoder.features}))

    def ours(number: int) -> None:
        score(Path(features), Path(work) / str(number), Path(champion), missing="null", backend=BACKENDS[processes])

    def alone(_: int) -> list[Any]:
        return [session.run([manifest.output], {manifest.input: matrix})[0] for matrix in matrices]

    def timed(way: Callable[[int], Any], number: int) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        way(number)
        return time.perf_counter() - wall, time.process_time() - processor

    first, _ = timed(ours, 0)
    differences = []
    for name, answer in zip(names, alone(0), strict=True):
        scored = pq.read_table(Path(work) / "0" / f"{name}.parquet", columns=["probability"])["probability"].to_numpy()
        differences.append(float(np.nanmax(np.abs(scored - answer))))
    seconds = [(timed(ours, number), timed(alone, number)) for number in range(1, rounds + 1)]
    return {
        "rows": sum(map(len, matrices)),
        "first": first,
        "seconds": seconds,
        "difference": max(differences),
        "output_mib": sum(path.stat().st_size for path in (Path(work) / "0").iterdir()) / 2**20,
        "input_mib": sum((Path(features) / f"{name}.parquet").stat().st_size for name in names) / 2**20,
    }


def main() -> None:
    """Print a table and the verdict."""
    parser = argparse.ArgumentParser(description="ontime score against ONNX Runtime alone")
    parser.add_argument("--rounds", type=int, default=7, help="of both, alternating; the middle one counts")
    rounds = parser.parse_args().rounds
    table, shares, share_of_processor = [], {}, 0.0
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
        rows, seconds = found["rows"], found["seconds"]
        shares[processes], processor_share = (
            statistics.median(alone[kind] / ours[kind] for ours, alone in seconds) for kind in range(2)
        )
        if processes == 1:
            share_of_processor = processor_share
        for position, way in enumerate((f"ontime score, {backend}", "ONNX Runtime alone")):
            wall, processor = (statistics.median(pair[position][kind] for pair in seconds) for kind in range(2))
            cells = [f"{processes}", f"{wall:.2f}", f"{processor:.2f}" if processes == 1 else "", f"{rows / wall:,.0f}"]
            ours_alone = [f"{shares[processes]:.2f}", f"{found['first']:.2f}"] if position == 0 else ["", ""]
            table.append([way, *cells, *ours_alone])
    header = ["", "processes or threads", "seconds", "processor s", "rows/s", "share", "first call, seconds"]
    print_table(header, table)
    print(
        f"{rows:,} rows, {found['input_mib']:.1f} MiB in, {found['output_mib']:.1f} MiB out; "
        f"greatest difference of a probability {found['difference']:.1e}"
    )
    finish(
        figure={
            **{f"share_with_{processes}": round(share, 3) for processes, share in shares.items()},
            "share_of_processor_seconds_with_1": round(share_of_processor, 3),
        },
        goal={"share": LEAST_SHARE},
        ok=min(shares.values()) >= LEAST_SHARE,
    )


TASKS = {"compare": compare}


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
