"""Spark on a cluster of two workers that have neither the checkout nor its package: the bytes of the local run."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.common.environment import PINNED
from ontime.common.files import sha256
from ontime.manifests.render import parse
from ontime.repository import s3
from ontime.repository.objects import md5_of
from tests.checkouts import TOP, commit, copy_checkout, locked_hashes, run
from tests.forge import set_parameters
from tests.remote import Bucket, key_of
from tests.servers import free_port
from tests.spark_cluster import Cluster, spark_cluster, variables_of

pytestmark = [
    pytest.mark.rehearsal,
    pytest.mark.skipif(shutil.which("java") is None, reason="no java"),
    pytest.mark.xdist_group("spark"),
]
FEATURES = "data/processed/features"
FEATURIZE = ("dvc", "repro", "--force", "--single-item", "featurize")
PARTITIONS, ROWS = 8, 30_000
SECONDS = 600
PROBE = """
import json, sys
from ontime.engine import run_tasks

asked = ["__import__('ontime').__file__", "__import__('os').getcwd()", "__import__('sys').path"]
asked.append("dict(__import__('os').environ)")
print(json.dumps(run_tasks(eval, [(one,) for one in asked], "spark")))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, signed: Path, fork: Path) -> Iterator[Path]:
    """The flights up to the split, made by processes of this machine; a model and partitions to score; all pushed."""
    top = copy_checkout(tmp_path_factory.mktemp("spark") / "checkout")
    run("dvc", "repro", "--quiet", "split", cwd=top)
    table = pq.read_table(fork / "data" / "processed" / "features" / "table.parquet")
    many = pa.concat_tables([table] * (ROWS // len(table)))
    (top / "scoring" / "in").mkdir(parents=True)
    for number in range(PARTITIONS):
        pq.write_table(many.slice(number), top / "scoring" / "in" / f"2024-0{number + 1}.parquet")
    shutil.copytree(signed / "model", top / "scoring" / "model")
    run("dvc", "add", "--quiet", "scoring", cwd=top)
    commit(top, "features")
    run("ontime", "s3", cwd=top)
    try:
        run("dvc", "push", "--quiet", cwd=top)
        yield top
    finally:
        run("ontime", "s3", "--off", cwd=top)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Cluster]:
    """A master and two workers with credentials of their own."""
    pytest.importorskip("pyspark", reason="run `make setup-spark`", exc_type=ImportError)
    with spark_cluster(tmp_path_factory.mktemp("cluster")) as started:
        for name in ("one", "two"):
            started.start_worker(name, **variables_of(state(checkout)))
        yield started


def state(checkout: Path) -> dict[str, Any]:
    """What `ontime s3` says of its server."""
    found: dict[str, Any] = json.loads((checkout / ".s3" / "server.json").read_text())
    return found


@pytest.fixture
def bucket(checkout: Path) -> Bucket:
    return Bucket(state(checkout))


@pytest.fixture
def on_spark(checkout: Path) -> Iterator[None]:
    """The parameters say Spark for the test."""
    before = (checkout / "params.yaml").read_bytes()
    set_parameters(checkout, "engine", backend="spark")
    yield
    (checkout / "params.yaml").write_bytes(before)


def timed(*command: str, cwd: Path, env: dict[str, str]) -> tuple[float, "subprocess.CompletedProcess[str]"]:
    """Seconds of a command, and what it said."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    return time.monotonic() - started, done


def reason_in(done: "subprocess.CompletedProcess[str]") -> str:
    """Of a command that was refused, the one line that says why; Spark's own lines stand above it."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def test_workers_have_the_shipped_package_and_the_pinned_environment_and_nothing_of_the_checkout(
    cluster: Cluster, checkout: Path
) -> None:
    alone = subprocess.run(
        [cluster.python, "-c", "import pandas, dvc, ontime"], capture_output=True, text=True, cwd="/"
    )
    assert alone.stderr.endswith("ModuleNotFoundError: No module named 'ontime'\n")
    _, done = timed(sys.executable, "-c", PROBE, cwd=checkout, env=cluster.driver())
    assert done.returncode == 0, done.stderr
    module, folder, path, variables = json.loads(done.stdout)
    assert re.search(r"/ontime\.zip/ontime/__init__\.py$", module)
    assert Path(folder, module).is_relative_to(cluster.folder)
    assert Path(folder).is_relative_to(cluster.folder)
    assert [entry for entry in path if Path(entry, "ontime").is_dir()] == []
    # Spark's own jar is where its package is installed
    variables["PYTHONPATH"] = ":".join(one for one in variables["PYTHONPATH"].split(":") if not one.endswith(".jar"))
    assert {name: value for name, value in variables.items() if str(checkout) in value or str(TOP) in value} == {}
    assert {name: variables[name] for name in PINNED} == PINNED


def test_the_stage_writes_the_locked_bytes(
    cluster: Cluster, checkout: Path, figures: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    before = cluster.applications()
    local, done = timed(*FEATURIZE, cwd=checkout, env=cluster.driver())
    assert done.returncode == 0, done.stderr
    assert cluster.applications() == before
    request.getfixturevalue("on_spark")
    seconds, done = timed(*FEATURIZE, cwd=checkout, env=cluster.driver())
    assert done.returncode == 0, done.stderr
    assert len(cluster.applications()) == len(before) + 1
    assert locked_hashes(checkout)[FEATURES] == locked_hashes(TOP)[FEATURES]
    figures.setdefault("spark", {})["features"] = {"loky": round(local, 1), "spark": round(seconds, 1)}


def test_scores_are_the_bytes_of_the_local_run_and_a_second_run_scores_nothing(
    cluster: Cluster, checkout: Path, tmp_path: Path, figures: dict[str, Any]
) -> None:
    def score(backend: str) -> tuple[float, str]:
        options = ("--model", "scoring/model", "--model-version", "1.2.3", "--backend", backend)
        command = ("ontime", "score", "scoring/in", str(tmp_path / backend), *options)
        seconds, done = timed(*command, cwd=checkout, env=cluster.driver())
        assert done.returncode == 0, done.stderr
        return seconds, done.stdout

    seconds = {backend: score(backend)[0] for backend in ("loky", "spark")}
    assert len(hashes(tmp_path / "spark")) == PARTITIONS
    assert hashes(tmp_path / "spark") == hashes(tmp_path / "loky")
    assert f"scored 0 rows in 0 of {PARTITIONS} partitions, {PARTITIONS} were scored already" in score("spark")[1]
    figures.setdefault("spark", {})["scoring"] = {name: round(value, 1) for name, value in seconds.items()}


def test_the_operators_command_runs_by_spark_submit(cluster: Cluster, checkout: Path, tmp_path: Path) -> None:
    (application,) = parse((TOP / "deployment" / "kubernetes" / "spark" / "score.yaml").read_text(encoding="utf-8"))
    program = checkout / application["spec"]["mainApplicationFile"].removeprefix("local:///checkout/")
    name, _, _, *options = application["spec"]["arguments"]
    command = (name, "scoring/in", str(tmp_path / "out"), "--model", "scoring/model", *options)
    driver = cluster.driver(PYSPARK_DRIVER_PYTHON=sys.executable)
    driver.pop("PYSPARK_SUBMIT_ARGS")
    submit = (str(cluster.folder / "spark" / "bin" / "spark-submit"), "--master", cluster.master)
    _, done = timed(*submit, str(program), *command, cwd=checkout, env=driver)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f" rows in {PARTITIONS} of {PARTITIONS} partitions: {tmp_path / 'out'}\n")


def test_a_search_finds_the_losses_of_the_local_run(cluster: Cluster, checkout: Path) -> None:
    found = {}
    before = (checkout / "params.yaml").read_bytes()
    for backend in ("loky", "spark"):
        set_parameters(checkout, "engine", backend=backend)
        _, done = timed("ontime", "tune", "logistic_regression", "--trials=1", cwd=checkout, env=cluster.driver())
        (checkout / "params.yaml").write_bytes(before)
        assert done.returncode == 0, done.stderr
        found[backend] = done.stdout
    assert len(re.findall(r"^0\.\d{6}  ", found["loky"], re.MULTILINE)) == 2
    assert found["spark"] == found["loky"]


@pytest.mark.usefixtures("on_spark")
def test_an_object_that_is_absent_or_has_other_bytes_is_named_and_nothing_is_written(
    cluster: Cluster, checkout: Path, bucket: Bucket
) -> None:
    raw = checkout / "data" / "raw" / "flights" / "2013-05.parquet"
    before, object_ = hashes(checkout / FEATURES), md5_of(raw)
    content = bucket.read(object_)
    with bucket.overwritten(object_, content[:-1]):
        _, changed = timed("ontime", "featurize", cwd=checkout, env=cluster.driver())
    bucket.client.delete_object(Bucket=s3.BUCKET, Key=key_of(object_))
    _, absent = timed("ontime", "featurize", cwd=checkout, env=cluster.driver())
    bucket.write(object_, content)
    for done, reason in ((changed, "the remote has other bytes by that name"), (absent, "neither in DVC's cache nor")):
        assert reason_in(done).startswith(f"output {raw}: object {object_}: {reason}")
        assert hashes(checkout / FEATURES) == before
        assert not list((checkout / FEATURES).parent.glob(".*.partial"))


@pytest.mark.usefixtures("on_spark")
def test_a_worker_with_another_version_of_a_package_is_refused(cluster: Cluster, checkout: Path) -> None:
    (other,) = (cluster.python.parents[1] / "lib").glob("python3*/site-packages")
    named = other / "pandas-0.0.1.dist-info"
    named.mkdir()
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 0.0.1\n")
    try:
        _, done = timed("ontime", "featurize", cwd=checkout, env=cluster.driver())
    finally:
        shutil.rmtree(named)
    assert reason_in(done).startswith("engine.backend: spark: a worker has pandas 0.0.1 and not ")


@pytest.mark.usefixtures("on_spark")
def test_a_worker_that_is_killed_in_the_middle_changes_no_byte(
    cluster: Cluster, checkout: Path, figures: dict[str, Any]
) -> None:
    months, written = len(list(checkout.glob("data/raw/flights/*"))), checkout / "data/processed/.features.partial"
    started = time.monotonic()
    with subprocess.Popen(
        FEATURIZE, cwd=checkout, env=cluster.driver(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and len(list(written.glob("[!.]*"))) < 2:
            assert time.monotonic() < started + SECONDS
            time.sleep(0.05)
        killed = cluster.kill_worker("two")
        done = len(list(written.glob("[!.]*")))
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert [command for command in killed if "pyspark.daemon" in command]
    assert 2 <= done < months
    assert locked_hashes(checkout)[FEATURES] == locked_hashes(TOP)[FEATURES]
    figures.setdefault("spark", {})["killed"] = {
        "seconds": round(time.monotonic() - started, 1),
        "months_before": done,
        "months": months,
    }


@pytest.mark.usefixtures("on_spark")
@pytest.mark.parametrize("fault", ["nobody listens", "the driver has no secret"])
def test_a_master_that_does_not_answer_is_one_line(
    cluster: Cluster, checkout: Path, tmp_path: Path, fault: str
) -> None:
    elsewhere = f"--master spark://127.0.0.1:{free_port()} pyspark-shell"
    changes = {"nobody listens": {"PYSPARK_SUBMIT_ARGS": elsewhere}}.get(fault, {"SPARK_CONF_DIR": str(tmp_path)})
    _, done = timed("ontime", "featurize", cwd=checkout, env=cluster.driver(**changes))
    assert reason_in(done).startswith("engine.backend: spark: ")
