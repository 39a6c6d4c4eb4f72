"""The log compacted and watched on a cluster of two workers that have neither the checkout nor the log's folder."""

import gzip
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ontime.monitoring.days import ALARM
from ontime.repository import s3
from tests.forge import set_parameters
from tests.monitored import (
    DAY,
    NEXT_DAY,
    OPTIONS,
    Line,
    Monitored,
    encoded,
    make_monitored,
    sound_lines,
)
from tests.remote import Bucket
from tests.s3_server import State, served
from tests.spark_cluster import Cluster, spark_cluster, variables_of

pytestmark = [
    pytest.mark.rehearsal,
    pytest.mark.skipif(shutil.which("java") is None, reason="no java"),
    pytest.mark.xdist_group("spark"),
]
FILES = 6
LOG_DAYS = 4
"""Days that the compacted lines are spread over."""
SECONDS = 900
CHECKS = ("inputs", "replay", "skew")
PROGRAM = """
import json, sys
from ontime.common.environment import pin

pin()
from ontime.cli import commands

for command in json.loads(sys.argv[1]):
    status = commands.main(command, standalone_mode=False)
    print(end=f"\\0{status or 0}\\0")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    with served(tmp_path_factory.mktemp("store")) as state:
        yield state


@pytest.fixture(scope="module")
def bucket(store: State) -> Bucket:
    return Bucket(store)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, store: State) -> Iterator[Cluster]:
    """A master and two workers with credentials of their own for the bucket."""
    pytest.importorskip("pyspark", reason="run `make setup-spark`", exc_type=ImportError)
    with spark_cluster(tmp_path_factory.mktemp("cluster")) as started:
        for name in ("one", "two"):
            started.start_worker(name, **client_of(store))
        yield started


@pytest.fixture(scope="module")
def lines(fork: Path) -> list[Line]:
    """A sound service's lines of two days, some of a shadow for another version's answers, and two wrong rows."""
    found = sound_lines(fork)
    others = [{**line, "model_version": "1.0.0"} for line in found[-80:-40]]
    shadows = [{**line, "event": "shadow"} for line in found[-80:-40]]
    for line in shadows:
        del line["features"]
    wrong = {"decision": not found[-1]["decision"], "features": {**found[-1]["features"], "depot": "overseas"}}
    found[-1] = {**found[-1], **wrong}
    return [*found, *shadows, *others]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, fork: Path, lines: list[Line]) -> Monitored:
    """A folder with the model and the files of a service's log: some compressed, with lines that come twice."""
    monitored = make_monitored(tmp_path_factory.mktemp("place"), fork, sound_lines(fork))
    (monitored.folder / "lines").mkdir()
    every = [line | {"time": f"2024-03-{1 + day:02d}{line['time'][10:]}"} for day in range(LOG_DAYS) for line in lines]
    for number in range(FILES):
        content = b"".join([*encoded(every[number::FILES]), *encoded(every[:50]), b"not a line\n"])
        path = monitored.folder / "lines" / f"{number}.log"
        path.write_bytes(gzip.compress(content) if number % 2 else content)
    return monitored


def client_of(store: State) -> dict[str, str]:
    """What a client of the bucket has in its environment."""
    endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{store['port']}", "AWS_DEFAULT_REGION": "us-east-1"}
    return {**variables_of(store), **endpoint}


def run(place: Monitored, environment: dict[str, str], *commands: Sequence[str]) -> list[tuple[int, str]]:
    """Exit status and output of commands in one process, which has one application on the cluster."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=place.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts = iter(done.stdout.split("\0"))
    return [(int(status), text) for text, status in zip(parts, parts, strict=False)]


def stored(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    """The objects below a prefix, by the rest of their keys."""
    found = bucket.client.list_objects_v2(Bucket=s3.BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    return {one["Key"].removeprefix(f"{prefix}/"): bucket.get(one["Key"]) for one in found}


def files(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def printed(
    cluster: Cluster,
    place: Monitored,
    store: State,
    bucket: Bucket,
    lines: list[Line],
) -> dict[str, list[tuple[int, str]]]:
    """What the commands printed with processes and a folder, with Spark and a bucket, and with Spark and a folder."""
    (place.folder / "day.log").write_bytes(b"".join(encoded(lines)))
    sources = [*sorted((place.folder / "lines").iterdir()), place.folder / "day.log"]
    for path in sources:
        bucket.put(f"lines/{path.name}", path.read_bytes())
    paths, addresses = [str(path) for path in sources], [f"s3://{s3.BUCKET}/lines/{path.name}" for path in sources]

    def commands(inputs: list[str], top: str, output: str, backend: str) -> list[Sequence[str]]:
        spread = ("--backend", backend)
        compactions = [inputs[: FILES - 2], inputs[2:FILES], inputs[:FILES]]
        return [
            *(("log", "compact", *some, f"{top}/log", *spread) for some in compactions),
            ("log", "compact", inputs[FILES], f"{top}/watched", *spread),
            ("monitor", "day", NEXT_DAY, "--log", f"{top}/watched", *OPTIONS, "--output", output),
        ]

    driver, before = cluster.driver(**client_of(store)), cluster.applications()
    found = {"loky": run(place, driver, *commands(paths, "log_loky", "of_loky", "loky"))}
    assert cluster.applications() == before
    set_parameters(place.folder, "engine", backend="spark")
    both = [
        *commands(addresses, f"s3://{s3.BUCKET}", "of_bucket", "spark"),
        *commands(paths, "log_folder", "of_folder", "spark"),
    ]
    done = run(place, driver, *both)
    set_parameters(place.folder, "engine", backend="loky")
    assert len(cluster.applications()) == len(before) + 1
    return {**found, "bucket": done[: len(done) // 2], "folder": done[len(done) // 2 :]}


def test_a_log_is_compacted_to_the_bytes_of_the_local_run_in_a_bucket_and_in_a_folder(
    printed: dict[str, list[tuple[int, str]]], place: Monitored, bucket: Bucket
) -> None:
    expected = files(place.folder / "log_loky" / "log")
    assert len(expected) == 2 * LOG_DAYS
    assert stored(bucket, "log") == files(place.folder / "log_folder" / "log") == expected
    assert printed["bucket"][:4] == printed["folder"][:4] == printed["loky"][:4]
    counts = [json.loads(text) for _, text in printed["loky"][:3]]
    assert [one["partitions"] for one in counts] == [2 * LOG_DAYS, 2 * LOG_DAYS, 0]
    assert [one["unreadable"] for one in counts] == [FILES - 2, FILES - 2, FILES]
    assert counts[2]["repeated"] == counts[2]["predictions"]


def test_the_checks_of_a_day_find_what_they_find_on_one_machine(
    printed: dict[str, list[tuple[int, str]]], place: Monitored
) -> None:
    expected = files(place.folder / "of_loky")
    assert printed["bucket"][4] == printed["folder"][4] == printed["loky"][4]
    assert printed["loky"][4][0] == ALARM
    assert files(place.folder / "of_bucket") == files(place.folder / "of_folder") == expected
    # the day before is counted too
    assert {f"{name}/{NEXT_DAY}.json" for name in CHECKS} | {f"inputs/{DAY}.json"} <= expected.keys()
    found = json.loads(expected[f"replay/{NEXT_DAY}.json"])
    assert (found["alarms"], found["other_versions"]) == ({"replay": 1}, {"1.0.0": 40})
    assert (found["shadow"]["compared"], found["shadow"]["differing"]) == (40, 0)
    assert json.loads(expected[f"skew/{NEXT_DAY}.json"])["alarms"] == ["depot"]


def test_a_worker_that_is_killed_in_the_middle_of_a_compaction_loses_and_doubles_no_line(
    cluster: Cluster, place: Monitored, store: State, bucket: Bucket, figures: dict[str, Any]
) -> None:
    cluster.start_worker("three", **client_of(store))
    inputs = [f"lines/{number}.log" for number in range(FILES)]
    command = [sys.executable, "-m", "ontime", "log", "compact", *inputs, f"s3://{s3.BUCKET}/killed"]
    started = time.monotonic()
    with subprocess.Popen(
        [*command, "--backend", "spark"],
        cwd=place.folder,
        env=cluster.driver(**client_of(store)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not stored(bucket, "killed"):
            assert time.monotonic() < started + SECONDS
            time.sleep(0.05)
        killed = cluster.kill_worker("three")
        done = len(stored(bucket, "killed"))
        text, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert [one for one in killed if "pyspark.daemon" in one]
    assert 1 <= done < 2 * LOG_DAYS
    ((status, once),) = run(place, cluster.driver(), ("log", "compact", *inputs, "once", "--backend", "sequential"))
    assert (0, json.loads(text)) == (status, json.loads(once))
    assert stored(bucket, "killed") == files(place.folder / "once")
    figures.setdefault("spark", {})["compaction_killed"] = {"partitions_before": done, "partitions": 2 * LOG_DAYS}


def test_a_worker_that_may_not_read_the_log_is_one_line_and_nothing_is_written(
    cluster: Cluster, place: Monitored, store: State, bucket: Bucket
) -> None:
    cluster.kill_worker("one")
    cluster.kill_worker("two")
    cluster.start_worker("four", AWS_ENDPOINT_URL=f"http://127.0.0.1:{store['port']}", **wrong_keys())
    before = stored(bucket, "log")
    command = ("log", "compact", f"s3://{s3.BUCKET}/lines/0.log", f"s3://{s3.BUCKET}/log", "--backend", "spark")
    done = subprocess.run(
        [sys.executable, "-m", "ontime", *command],
        cwd=place.folder,
        env=cluster.driver(**client_of(store)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert f"error: s3://{s3.BUCKET}/lines: cannot be reached: " in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(bucket, "log") == before


def wrong_keys() -> dict[str, str]:
    """Credentials that the server does not know."""
    return {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}
