"""Rows a CPU second and peak memory of `ontime monitor inputs`, and of its rivals on the same rows.

All rows are of one day, the hardest case for memory: what is kept of a day does not grow with the number of days. A
rival's rows are the same, without what only the log has.
"""

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import measure, run_task
from benchmarks.monitoring.environments import rival
from benchmarks.monitoring.replay import VERSION, Replay

MODULE = "benchmarks.monitoring.throughput"
DAY = "2013-07-01"


@dataclass(frozen=True)
class Rate:
    """What it took to look at so many rows."""

    rows: int
    rows_a_cpu_second: float
    peak_mib: float


def make_rows(replay: str, count: int, target: str) -> None:
    """Write the replay's rows again and again as those of one day, until there are enough, as `ontime log` writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ontime.monitoring.log_files import ROW_GROUP

    log = Replay(Path(replay))
    files = sorted(log.log.glob("model_version=*/day=*/predictions.parquet"))
    every = pa.concat_tables([pq.read_table(path, partitioning=None) for path in files])
    table = pa.concat_tables([every] * -(-count // len(every))).slice(0, count)
    times = pa.array([f"{DAY}T12:00:00.000+00:00"] * count)
    table = table.set_column(table.schema.get_field_index("time"), "time", times)
    path = Path(target) / f"model_version={VERSION}" / f"day={DAY}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table.combine_chunks(), path, ROW_GROUP, compression="zstd", version="2.6", store_schema=False)


def inputs(replay: str, log: str, output: str) -> float:
    """CPU seconds of the check."""
    from ontime.monitoring.days import Day
    from ontime.monitoring.inputs import check

    where = Day(DAY, log, Replay(Path(replay)).model, VERSION, Path(output))
    with contextlib.chdir(replay):
        started = time.process_time()
        check(where)
        return time.process_time() - started


def our_rate(replay: Replay, rows: int, folder: Path) -> Rate:
    """The check on so many rows, in a process of its own."""
    measure(MODULE, "make_rows", str(replay.workspace), rows, str(folder / "log"))
    found = measure(MODULE, "inputs", str(replay.workspace), str(folder / "log"), str(folder / "output"))
    counted = json.loads((folder / "output" / "inputs" / f"{DAY}.json").read_text())["rows"]
    assert counted == rows
    return Rate(rows, rows / found.result, found.peak_mib)


def rival_rate(name: str, reference: Path, rows: Path, count: int, columns: Path) -> Rate:
    """A rival on the same rows, in a process of its own environment."""
    found = rival(name, "rate", reference, rows, columns)
    return Rate(count, count / found["cpu_seconds"], found["peak_mib"])


if __name__ == "__main__":
    run_task({"make_rows": make_rows, "inputs": inputs}, sys.argv[1:])
