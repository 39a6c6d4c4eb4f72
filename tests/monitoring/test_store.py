"""Files of a folder and of an object store are read and written alike, and a store that is away is one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.monitoring.days import ALARM
from ontime.monitoring.store import Store
from ontime.repository import s3
from tests.checkouts import environment
from tests.monitored import DAY, NEXT_DAY, OPTIONS, Monitored, encoded
from tests.s3_server import State, served

LOG = f"s3://{s3.BUCKET}/predictions"
CHECKS = ("inputs", "replay", "skew")


@pytest.mark.parametrize("address", ["", "memory://here/"])
def test_a_file_is_written_listed_read_and_removed(tmp_path: Path, address: str) -> None:
    store = Store(f"{address}{tmp_path}/a [b] *")
    assert (store.names(depth=3), store.open("x=1/y=2/file")) == ([], None)
    store.write("x=1/y=2/file", b"first")
    before = store.open("x=1/y=2/file")
    store.write("x=1/y=2/file", b"second")
    store.write("x=1/other", b"")
    assert store.names(depth=3) == ["x=1/other", "x=1/y=2/file"]
    after = store.open("x=1/y=2/file")
    store.remove("x=1/y=2/file")
    assert [file.read() for file in (before, after)] == [b"first", b"second"]
    assert (store.names(depth=3), store.open("x=1/y=2/file")) == (["x=1/other"], None)


def test_a_folder_that_is_empty_is_removed_with_its_last_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "log"))
    for name in ("x=1/y=2/file", "x=1/y=3/file", "x=1/y=3/mine"):
        store.write(name, b"")
    for name in ("x=1/y=2/file", "x=1/y=3/file"):
        store.remove(name)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "log",
        "log/x=1",
        "log/x=1/y=3",
        "log/x=1/y=3/mine",
    ]


def test_an_address_that_no_store_has_is_one_line() -> None:
    with pytest.raises(OntimeError, match=r"^nowhere://bucket/log: cannot be reached: [^\n]+$"):
        Store("nowhere://bucket/log").write("file", b"")


def test_a_folder_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OntimeError, match=r"file: cannot be reached: [^\n]+$"):
        Store(str(tmp_path / "file")).write("x=1/file", b"")


def ontime(state: State, folder: Path, *arguments: str, lines: bytes = b"") -> tuple[int, str, str]:
    """Exit status and output of a command that finds the server by its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "ontime", *arguments],
        input=lines,
        cwd=folder,
        env=environment(
            AWS_ACCESS_KEY_ID=str(state["access_key_id"]),
            AWS_SECRET_ACCESS_KEY=str(state["secret_access_key"]),
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{state['port']}",
            AWS_DEFAULT_REGION="us-east-1",
        ),
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.integration
def test_an_object_store_gives_what_a_folder_gives_and_its_absence_changes_nothing(
    monitored: Monitored, tmp_path: Path
) -> None:
    monitored.lines[0]["decision"] = not monitored.lines[0]["decision"]
    monitored.lines[1]["features"]["depot"] = "overseas"
    lines = b"".join(encoded(monitored.lines))
    monitored.write(monitored.lines)
    compact = ["log", "compact", "-", LOG]

    def check(state: State, name: str, day: str) -> tuple[int, str, str]:
        return ontime(state, tmp_path, "monitor", name, day, "--log", LOG, *OPTIONS, "--output", "stored")

    def stored() -> dict[str, bytes]:
        top = tmp_path / "stored"
        return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}

    with served(tmp_path / "server") as state:
        status, printed, error = ontime(state, tmp_path, *compact, lines=lines)
        assert (status, error) == (0, "")
        assert json.loads(printed)["partitions"] == 2
        for name in CHECKS:
            expected = monitored.run(name, DAY, "--log", "log")
            assert expected[0] == (0 if name == "inputs" else ALARM)
            assert check(state, name, DAY) == (*expected, "")
        assert stored() == monitored.written()
    for status, printed, error in (check(state, "inputs", NEXT_DAY), ontime(state, tmp_path, *compact, lines=lines)):
        assert (status, printed, error.count("\n")) == (1, "", 1), error
        assert error.startswith(f"error: {LOG}: cannot be reached: ")
    assert stored() == monitored.written()
    with served(tmp_path / "server", state["access_key_id"], state["secret_access_key"]) as again:
        status, printed, error = ontime(again, tmp_path, *compact, lines=lines)
        assert (status, error) == (0, "")
        counts = json.loads(printed)
        assert (counts["partitions"], counts["repeated"]) == (0, len(monitored.lines))
        for name in CHECKS:
            check(again, name, DAY)
        assert stored() == monitored.written()
        assert ontime(again, tmp_path, "log", "prune", LOG, "--keep-days", "7")[0] == 0
        assert check(again, "replay", DAY) == (1, "", f"error: {LOG}: has no predictions of {DAY}\n")
