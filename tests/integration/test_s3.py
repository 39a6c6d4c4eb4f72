"""A real S3 server on loopback as the DVC remote: versions of data and models pushed, pulled and refused."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ontime.repository import s3
from ontime.repository.lock_file import outputs, read_lock
from ontime.repository.remote import REMOTE
from tests.checkouts import TOP, commit, git, run
from tests.remote import Bucket
from tests.s3_server import served

pytestmark = pytest.mark.integration
OUTPUT = "data/raw"
NAMES = [f"{number:03d}" for number in range(100)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, copy_of_run: Callable[[Path], Path]) -> Iterator[Path]:
    """A small fork that has run and is pushed to its remote, which is served on loopback."""
    top = copy_of_run(tmp_path_factory.mktemp("s3") / "checkout")
    commit(top, "graph")
    run("ontime", "s3", cwd=top)
    run("dvc", "push", cwd=top)
    yield top
    run("ontime", "s3", "--off", cwd=top)


def clone(checkout: Path, target: Path) -> Path:
    """A clean clone that knows the server."""
    subprocess.run(["git", "clone", "--quiet", str(checkout), str(target)], check=True)
    (target / ".dvc" / "config.local").write_bytes((checkout / ".dvc" / "config.local").read_bytes())
    return target


def test_pushed_data_is_pulled_into_a_clean_clone(checkout: Path, tmp_path: Path) -> None:
    missing = json.loads(run("dvc", "data", "status", "--not-in-remote", "--json", cwd=checkout).stdout)
    assert not missing.get("not_in_remote")
    fresh = clone(checkout, tmp_path / "clone")
    run("dvc", "pull", OUTPUT, cwd=fresh)
    for path in (checkout / OUTPUT).rglob("*.parquet"):
        assert (fresh / path.relative_to(checkout)).read_bytes() == path.read_bytes()


def test_an_object_that_was_deleted_at_the_server_is_pushed_again(checkout: Path) -> None:
    md5 = outputs(read_lock(checkout / "dvc.lock"))[OUTPUT]
    listing = checkout / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    (part,) = {entry["md5"] for entry in json.loads(listing.read_text())}
    state = json.loads((checkout / s3.STATE).read_text())
    client = Bucket(state).client
    (key,) = [one["Key"] for one in client.list_objects_v2(Bucket=s3.BUCKET)["Contents"] if part[2:] in one["Key"]]
    client.delete_object(Bucket=s3.BUCKET, Key=key)
    assert "Everything is up to date" in run("dvc", "push", cwd=checkout).stdout
    refused = run("ontime", "proof", cwd=checkout, check=False)
    assert f"error: output {OUTPUT}: not in the remote; run `ontime cache --push`\n" in refused.stderr
    assert run("ontime", "cache", "--push", cwd=checkout).stdout.endswith("\n1 objects pushed\n")
    missing = json.loads(run("dvc", "data", "status", "--not-in-remote", "--json", cwd=checkout).stdout)
    assert not missing.get("not_in_remote")


def test_an_earlier_version_comes_back_from_the_remote(checkout: Path, tmp_path: Path) -> None:
    fresh = clone(checkout, tmp_path / "clone")
    table = fresh / "data" / "external" / "tumours.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:300]))
    init = ("ontime", "init", "--source", "data/external/tumours.csv", "--target", "target", "--no-run")
    run(*init, cwd=fresh)
    run("dvc", "repro", "ingest", cwd=fresh)
    commit(fresh, "fewer rows")
    run("dvc", "push", OUTPUT, cwd=fresh)
    later = (fresh / OUTPUT / "table" / "table.parquet").read_bytes()
    git(fresh, "checkout", "--quiet", "HEAD~1")
    run("dvc", "pull", OUTPUT, cwd=fresh)
    earlier = (fresh / OUTPUT / "table" / "table.parquet").read_bytes()
    assert earlier == (checkout / OUTPUT / "table" / "table.parquet").read_bytes() != later


def test_a_server_that_was_stopped_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from ontime.repository import s3; print(s3.start(Path({str(tmp_path)!r}))['pid'])"
    )
    pid = run(sys.executable, "-c", code, cwd=TOP).stdout.strip()
    ports = re.findall(r"port[.a-z]*=(\d+)", Path(f"/proc/{pid}/cmdline").read_text())
    s3.end_server(int(pid))
    assert len(ports) == len(s3.PORTS)
    assert not [path for port in ports for path in s3.SOCKETS.glob(f"*-{port}.sock")]
    assert not list(s3.SOCKETS.glob(f"weed*.{pid}"))
    assert not list(Path(tempfile.gettempdir()).glob("weed*"))


def test_several_buckets_take_many_objects_at_once(tmp_path: Path) -> None:
    with served(tmp_path / "s3") as state:
        client = Bucket(state).client
        for bucket in ("one", "two", "three"):
            client.create_bucket(Bucket=bucket)
            with ThreadPoolExecutor(20) as pool:
                list(pool.map(lambda name, to=bucket: client.put_object(Bucket=to, Key=name, Body=b"row"), NAMES))
            found = client.list_objects_v2(Bucket=bucket)["Contents"]
            assert [one["Key"] for one in found] == NAMES


def test_wrong_credentials_are_refused_in_a_line(checkout: Path, tmp_path: Path) -> None:
    fresh = clone(checkout, tmp_path / "clone")
    run("dvc", "remote", "modify", "--local", REMOTE, "secret_access_key", "wrong", cwd=fresh)
    refused = run("dvc", "pull", OUTPUT, cwd=fresh, check=False)
    assert refused.returncode != 0
    assert "Forbidden" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (fresh / OUTPUT).exists()


def test_a_server_that_is_down_is_named(checkout: Path, tmp_path: Path) -> None:
    fresh = clone(checkout, tmp_path / "clone")
    run("dvc", "remote", "modify", "--local", REMOTE, "endpointurl", "http://127.0.0.1:9", cwd=fresh)
    refused = run("dvc", "pull", OUTPUT, cwd=fresh, check=False)
    assert refused.returncode != 0
    assert "Could not connect to the endpoint URL" in refused.stderr
    assert "Traceback" not in refused.stderr
