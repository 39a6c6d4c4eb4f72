"""Whole files or none, and the same bytes for the same content."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import (
    is_cache_object,
    partitions,
    read_json,
    read_parquet,
    replacing,
    sha256,
    write_json,
    write_parquet,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def frame() -> pd.DataFrame:
    """Every kind of column that the graph writes, each with a missing value."""
    return pd.DataFrame(
        {
            "time": pd.to_datetime(pd.Series(["2013-01-01T05:00Z", None, "2013-01-03T05:00Z"])).dt.as_unit("us"),
            "text": pd.Series(["é", None, "c"], dtype="str"),
            "single": np.array([1.5, np.nan, -0.0], dtype=np.float32),
            "count": np.array([3, 1, 2], dtype=np.int64),
            "label": pd.Series([1, None, 0], dtype="Int8"),
            "flag": pd.Series([True, None, False], dtype="object"),
        }
    )


def test_a_written_file_replaces_the_old_one_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    write_text(target, "one")
    write_text(target, "zwei \N{LATIN SMALL LETTER U WITH DIAERESIS}")
    assert target.read_bytes() == b"zwei \xc3\xbc"
    assert names(target.parent) == ["a.txt"]


def test_a_written_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with replacing(target) as folder:
        folder.mkdir()
        (folder / "new").touch()
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: type[BaseException], kind: str) -> None:
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("old")
    else:
        target.mkdir()
        (target / "old").touch()
    with pytest.raises(failure), replacing(target) as temporary:
        if kind == "file":
            temporary.write_text("half")
        else:
            temporary.mkdir()
            (temporary / "half").touch()
        raise failure
    assert names(tmp_path) == ["target"]
    assert target.read_text() == "old" if kind == "file" else names(target) == ["old"]


@pytest.mark.parametrize("leftover", ["file", "folder"])
def test_what_an_interrupted_write_left_is_removed(tmp_path: Path, leftover: str) -> None:
    target = tmp_path / "target"
    with replacing(target) as temporary:
        temporary.touch()
    target.unlink()
    if leftover == "file":
        temporary.write_text("half")
    else:
        temporary.mkdir()
        (temporary / "half").touch()
    with replacing(target) as folder:
        assert not folder.exists()
        folder.mkdir()
        (folder / "whole").touch()
    assert names(tmp_path) == ["target"]
    assert names(target) == ["whole"]


def test_a_process_killed_while_it_writes_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ontime.common.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, target], check=False).returncode < 0
    assert target.read_text() == "old"
    write_text(target, "new")
    assert names(tmp_path) == ["target"]


def test_a_folder_is_never_seen_half_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    for number in range(3):
        (target / f"old{number}").touch()
    program = (
        "import os, shutil, sys\nfrom pathlib import Path\nfrom ontime.common.files import replacing\n"
        "removed = []\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.remove' and str(arguments[0]).startswith('old'):\n"
        "        removed.append(arguments[0])\n"
        "        if len(removed) == 2:\n"
        "            os._exit(9)\n"
        "sys.addaudithook(hook)\n"
        "with replacing(Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir()\n    (folder / 'new').touch()\n"
    )
    assert subprocess.run([sys.executable, "-c", program, target], check=False).returncode == 9
    assert names(target) in (["new"], ["old0", "old1", "old2"])
    with replacing(target) as folder:
        folder.mkdir()
    assert names(tmp_path) == ["target"]


def test_parquet_reads_back_as_it_was_written(tmp_path: Path, frame: pd.DataFrame) -> None:
    write_parquet(frame, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "a.parquet").astype({"label": "Int8"}), frame)
    assert list(read_parquet(tmp_path / "a.parquet", columns=["count", "text"]).columns) == ["count", "text"]


@pytest.mark.parametrize(
    "same",
    [
        lambda frame: frame.set_index(pd.Index([7, 7, 9])),
        lambda frame: frame.iloc[::-1].iloc[::-1],
        lambda frame: frame.rename_axis(index="named", columns="other"),
        lambda frame: frame.astype({"text": "object"}),
        lambda frame: frame.astype({"text": pd.StringDtype("pyarrow")}),
    ],
    ids=["another index", "reversed twice", "named axes", "objects", "arrow strings"],
)
def test_the_same_content_has_the_same_bytes_however_pandas_holds_it(
    tmp_path: Path, frame: pd.DataFrame, same: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(same(frame), tmp_path / "b.parquet")
    assert sha256(tmp_path / "a.parquet") == sha256(tmp_path / "b.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").metadata is None


def test_another_value_has_other_bytes(tmp_path: Path, frame: pd.DataFrame) -> None:
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(frame.assign(count=[3, 1, 4]), tmp_path / "b.parquet")
    assert sha256(tmp_path / "a.parquet") != sha256(tmp_path / "b.parquet")


def test_the_number_of_threads_changes_no_byte(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=200_000), "b": random.integers(0, 9, 200_000).astype(str)})
    count = pa.cpu_count()
    try:
        for threads in (1, 4):
            pa.set_cpu_count(threads)
            write_parquet(frame, tmp_path / f"{threads}.parquet")
    finally:
        pa.set_cpu_count(count)
    assert sha256(tmp_path / "1.parquet") == sha256(tmp_path / "4.parquet")


def test_json_keeps_the_order_of_keys_and_ends_with_a_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"z": 1, "a": "ü"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "z": 1,\n  "a": "ü"\n}\n'
    assert read_json(tmp_path / "a.json") == {"z": 1, "a": "ü"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_json_refuses_numbers_that_are_not_finite(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": number})
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": 1} trailing'])
def test_a_broken_json_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(OntimeError, match=r"a\.json: not JSON: ") as error:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"a,b\n1,2\n"])
def test_a_broken_parquet_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(OntimeError, match=r"a\.parquet: not a readable parquet file: ") as error:
        read_parquet(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_json, read_parquet])
def test_an_absent_file_says_how_to_get_it(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(OntimeError, match=r"absent: not found; run `dvc repro` \(or `ontime pull`\) first"):
        read(tmp_path / "absent")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_partitions_are_the_parquet_files_in_order(tmp_path: Path) -> None:
    others = ("notes.txt", ".2013-03.parquet.partial", "._2013-01.parquet", ".hidden.parquet")
    for name in ("2013-02.parquet", "2013-01.parquet", *others):
        (tmp_path / name).touch()
    assert partitions(tmp_path) == ["2013-01", "2013-02"]


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("90/0150983cd24fb0d6963f7d28e17f72", b"abc", True),
        ("90/0150983cd24fb0d6963f7d28e17f72", b"abd", False),
        ("90/0150983cd24fb0d6963f7d28e17f72", b"", False),
        ("d7/51713988987e9331980363e24189ce.dir", b"[]", True),
        ("d7/51713988987e9331980363e24189ce.dir", b"[ ]", False),
    ],
)
def test_an_object_of_the_cache_is_whole_if_its_name_is_its_md5(
    tmp_path: Path, name: str, content: bytes, whole: bool
) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes(content)
    assert is_cache_object(path) == whole


def test_a_folder_without_partitions_says_how_to_get_them(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(OntimeError, match="no parquet file; run `dvc repro`"):
            partitions(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 256 KiB."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_full_disk_leaves_what_was_there(small_disk: Path, form: str) -> None:
    target = small_disk / f"a.{form}"
    values = np.random.default_rng(0).normal(size=100_000)
    write_text(target, "old")
    with pytest.raises(OSError, match="No space left on device"):
        if form == "json":
            write_json(target, values.tolist())
        else:
            write_parquet(pd.DataFrame({"value": values}), target)
    assert names(small_disk) == [target.name]
    assert target.read_text() == "old"
