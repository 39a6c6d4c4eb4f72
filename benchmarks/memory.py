"""Peak memory of the graph on a large table of one's own: 3,000,000 rows, one category of 3,000 values.

`python -m benchmarks.memory [ROWS]`. `ontime init` and each stage run one after another in a copy of the checkout; the
peak is of the stage's process and all that it starts, shared pages counted once. The neural network is trained for one
epoch, which holds as much as any other.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.common import finish, print_table

ROWS, VALUES = 3_000_000, 3_000
MOST_GIB = 4.0
SECONDS_BETWEEN = 0.5


def write_table(path: Path, rows: int) -> None:
    """Numbers, a rare-valued and a plain category, and a target that both and a number decide."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    codes, plain = random.integers(0, VALUES, rows), random.integers(0, 5, rows)
    x, z = random.normal(size=rows), random.normal(size=rows)
    margin = x + random.normal(size=VALUES)[codes] + 0.3 * plain - 1
    columns = {
        "x": pa.array(x),
        "z": pa.array(z),
        "n": pa.array(random.integers(0, 1000, rows)),
        "place": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([f"place {n}" for n in range(VALUES)])),
        "kind": pa.DictionaryArray.from_arrays(pa.array(plain), pa.array(list("abcde"))),
        "y": pa.array((random.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int64)),
    }
    pq.write_table(pa.table(columns), path)


def tree_bytes(process: psutil.Process) -> int:
    """Memory of a process and all that it started, each shared page in parts."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            total += one.memory_full_info().pss
    return total


def peak_of(command: list[str], folder: Path) -> tuple[float, float, int]:
    """Seconds, peak GiB and exit status of a command."""
    started, peak = time.perf_counter(), 0
    with (folder / "log").open("a") as log:
        process = psutil.Popen(command, cwd=folder, stdout=log, stderr=log)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, tree_bytes(process))
            time.sleep(SECONDS_BETWEEN)
    return time.perf_counter() - started, peak / (1 << 30), process.returncode


def main() -> None:
    """Run `init` and the stages, print each one's peak and the verdict."""
    from dvc.repo import Repo

    from ontime.repository.yaml_files import editing
    from ontime.verification.graph import copy_checkout

    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    figure, lines = {}, []
    with tempfile.TemporaryDirectory() as top:
        checkout, source = Path(top) / "checkout", Path(top) / "large.parquet"
        copy_checkout(Path.cwd(), checkout, [], {})
        write_table(source, rows)
        commands = {"init": ["ontime", "init", "--source", str(source), "--target", "y", "--no-run", "--yes"]}
        with contextlib.chdir(checkout):
            subprocess.run(["dvc", "config", "--local", "core.site_cache_dir", f"{top}/site"], check=True)
            graph = Repo().index.graph
        import networkx  # type: ignore[import-untyped]

        for stage in reversed(list(networkx.topological_sort(graph))):
            if hasattr(stage, "name") and stage.cmd:
                commands[stage.name] = ["dvc", "repro", "--single-item", "--force", "--quiet", stage.name]
        for name, command in commands.items():
            if name == "ingest":
                with editing(checkout / "params.yaml") as params:
                    params["train"]["neural_network"]["epochs"] = 1
            seconds, peak, status = peak_of(command, checkout)
            print(f"{name}: {peak:.2f} GiB, {seconds:.0f} s", file=sys.stderr, flush=True)
            if status:
                raise SystemExit(f"{name}: {(checkout / 'log').read_text()[-2000:]}")
            figure[name] = round(peak, 2)
            lines.append([name, f"{peak:.2f}", f"{seconds:.0f}"])
    print_table([f"{rows:,} rows", "peak GiB", "seconds"], lines)
    finish(figure=figure, goal={"most_gib": MOST_GIB}, ok=max(figure.values()) <= MOST_GIB)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
