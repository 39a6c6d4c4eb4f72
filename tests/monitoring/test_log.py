"""Whatever order, number and state the lines come in, each prediction is in the tables once."""

import gzip
import itertools
import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import msgspec
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.prediction_log import LINES_LOST, LostLine
from ontime.monitoring.log import compacted, compacted_files
from ontime.monitoring.log_rows import COLUMNS, merged_file
from tests.commands import run_command

DAYS = ("2024-03-01", "2024-03-02")


def line(request: str, row: int = 0, day: str = DAYS[0], **changes: Any) -> bytes:
    """A prediction as the service writes it."""
    content = {
        "time": f"{day}T10:00:00.123+00:00",
        "event": "prediction",
        "request_id": request,
        "row": row,
        "model": "parcels",
        "model_version": "1.2.3",
        "probability": 0.25,
        "decision": False,
        "features": {"weight": 1.5, "depot": "north", "probability": None},
    }
    return json.dumps(content | changes).encode() + b"\n"


def tables(top: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*.parquet"))}


LINES = [line(f"request{number}", row, day) for number, row, day in itertools.product(range(20), range(3), DAYS)]


def test_a_file_for_each_version_and_day_has_the_rows_with_their_features(tmp_path: Path) -> None:
    lines = [*LINES, line("a", model_version="2.0.0"), b'{"time": "x", "event": "request", "status": 200}\n']
    counts = compacted(lines, str(tmp_path))
    assert counts == {
        "lines": 122,
        "predictions": 121,
        "other": 1,
        "unreadable": 0,
        "repeated": 0,
        "ahead": 0,
        "lost": 0,
        "partitions": 3,
        "missing": 0,
    }
    found = pd.read_parquet(tmp_path / "model_version=1.2.3" / f"day={DAYS[0]}" / "predictions.parquet")
    assert len(found) == 60
    assert list(found.columns) == [
        "time",
        "request_id",
        "row",
        "event",
        "key",
        "model",
        "probability",
        "decision",
        "features",
        "feature_depot",
        "feature_probability",
        "feature_weight",
    ]
    assert found["feature_weight"].tolist() == [1.5] * 60
    assert found["features"].tolist() == [3] * 60
    assert found["key"].isna().all()
    assert set(found["feature_depot"]) == {"north"}
    assert len(pd.read_parquet(tmp_path)) == 121


def test_any_order_repetition_and_division_of_the_lines_gives_the_same_bytes(tmp_path: Path) -> None:
    compacted(LINES, str(tmp_path / "once"))
    drawn = random.Random(4)
    for trial in range(5):
        lines = drawn.sample(LINES * 2, len(LINES) * 2)
        cut = drawn.randrange(len(lines))
        parts = [compacted(part, str(tmp_path / str(trial))) for part in (lines[:cut], lines[cut:])]
        assert sum(part["repeated"] for part in parts) == len(LINES)
        assert tables(tmp_path / str(trial)) == tables(tmp_path / "once")
    assert compacted(LINES, str(tmp_path / "once"))["partitions"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        line("a")[:100],
        b"\xff\xfe\n",
        b"Traceback (most recent call last):\n",
        b"[" * 10_000 + b"\n",
        line("a", model_version="../../etc"),
        line("a", model_version=""),
        line("a", time="yesterday"),
        line("a", time="../../2024-01-01T00:00:00.000+00:00"),
        line("a", features={"weight": {"nested": 1}}),
        line("a", features=[1, 2]),
        line("a", probability="high"),
    ],
)
def test_a_line_that_is_no_prediction_is_counted_and_costs_no_other(tmp_path: Path, bad: bytes) -> None:
    counts = compacted([LINES[0], bad, LINES[1]], str(tmp_path))
    assert (counts["unreadable"], counts["predictions"]) == (1, 2)
    assert len(pd.read_parquet(tmp_path)) == 2


def test_rows_that_are_missing_from_their_requests_are_counted(tmp_path: Path) -> None:
    counts = compacted([line("a", 0), line("a", 3), line("b", 1)], str(tmp_path))
    assert counts["missing"] == 3
    assert compacted([line("a", 1)], str(tmp_path))["missing"] == 2


def test_a_feature_that_is_a_number_and_a_text_is_text_in_whatever_order_they_come(tmp_path: Path) -> None:
    lines = [line("a", features={"code": 7}), line("b", features={"code": "x"}), line("c", features={})]
    compacted(lines, str(tmp_path / "together"))
    for one in lines:
        compacted([one], str(tmp_path / "apart"))
    assert tables(tmp_path / "apart") == tables(tmp_path / "together")
    found = pd.read_parquet(tmp_path / "apart")["feature_code"]
    assert found.fillna("missing").tolist() == ["7.0", "x", "missing"]


def test_a_line_that_is_later_than_the_clock_is_counted_and_kept_in_its_day(tmp_path: Path) -> None:
    ahead = line("a", day="2999-01-01")
    assert compacted([*LINES, ahead], str(tmp_path))["ahead"] == 1
    assert len(pd.read_parquet(tmp_path / "model_version=1.2.3" / "day=2999-01-01")) == 1


def test_lines_that_the_service_tells_of_as_lost_are_counted(tmp_path: Path) -> None:
    told = [msgspec.json.encode(LostLine("2024-03-01T10:00:00.000+00:00", lines)) for lines in (3, 40)]
    wrong = [json.dumps({"event": LINES_LOST, "lines": lines}).encode() for lines in ("many", -1, None, [3])]
    counts = compacted([*LINES, *told, *wrong], str(tmp_path))
    assert (counts["lost"], counts["other"], counts["unreadable"]) == (43, 6, 0)


def test_a_file_that_was_written_before_a_column_existed_gets_it(tmp_path: Path) -> None:
    compacted([line("a"), line("b")], str(tmp_path))
    (path,) = tmp_path.rglob("*.parquet")
    pd.read_parquet(
        path, columns=[name for name in COLUMNS if name not in ("key", "features", "prediction")]
    ).to_parquet(path)
    compacted([line("z")], str(tmp_path))
    found = pd.read_parquet(path)
    assert found["features"].isna().tolist() == [True] * (len(found) - 1) + [False]


def test_a_file_that_is_no_table_is_one_line_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "model_version=1.2.3" / f"day={DAYS[0]}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(OntimeError, match=r"predictions\.parquet: not a readable parquet file: "):
        compacted(LINES, str(tmp_path))
    assert path.read_bytes() == b"PAR1 and no more"


def test_duckdb_reads_the_files_of_several_schemas_as_they_are(tmp_path: Path) -> None:
    texts = [line("b", model_version="2.0.0", key="k", features={"weight": "heavy"})]
    compacted([*LINES, *texts], str(tmp_path))
    with duckdb.connect() as connection:
        query = (
            "SELECT model_version, day, count(*), count(key), max(feature_weight) FROM read_parquet(?, "
            "hive_partitioning = true, union_by_name = true) GROUP BY ALL ORDER BY ALL"
        )
        found = connection.execute(query, [f"{tmp_path}/**/*.parquet"]).fetchall()
    assert [(version, str(day), *rest) for version, day, *rest in found] == [
        ("1.2.3", DAYS[0], 60, 0, "1.5"),
        ("1.2.3", DAYS[1], 60, 0, "1.5"),
        ("2.0.0", DAYS[0], 1, 1, "heavy"),
    ]


def test_containers_logs_and_compressed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_bytes(b"".join(b"2024-03-01T10:00:00.1Z stdout F " + one for one in LINES[:50]))
    (tmp_path / "1.log.gz").write_bytes(gzip.compress(b"".join(LINES[50:])))
    run_command("log", "compact", str(tmp_path / "0.log"), str(tmp_path / "1.log.gz"), str(tmp_path / "log"))
    assert len(pd.read_parquet(tmp_path / "log")) == len(LINES)


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_files_that_are_read_by_several_tasks_give_the_bytes_and_numbers_of_one(tmp_path: Path, backend: str) -> None:
    told = msgspec.json.encode(LostLine("2024-03-01T10:00:00.000+00:00", 2)) + b"\n"
    lines = [*LINES, told, b"no line\n", *LINES[:9], line("late", day="2999-01-01")]
    expected = compacted(lines, str(tmp_path / "one"))
    files: list[tuple[str, Path | str]] = []
    for number in range(3):
        path = tmp_path / f"{number}.log"
        path.write_bytes(b"".join(lines[number::3]))
        files.append((path.name, path))
    assert compacted_files(files, str(tmp_path / backend), backend) == expected
    assert tables(tmp_path / backend) == tables(tmp_path / "one")
    assert expected["repeated"] == 9


def test_a_pipe_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ontime.monitoring.log.PIECE_BYTES", 3_000)
    pipe, content = tmp_path / "pipe", b"".join(LINES)
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(gzip.compress(content)))
    writer.start()
    run_command("log", "compact", str(pipe), str(tmp_path / "log"), "--backend", "sequential")
    writer.join()
    compacted(LINES, str(tmp_path / "expected"))
    assert tables(tmp_path / "log") == tables(tmp_path / "expected")


def test_a_log_file_may_have_an_address_and_one_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/lines/0.log.gz", gzip.compress(b"".join(LINES)))
    run_command("log", "compact", "memory://lines/0.log.gz", str(tmp_path), "--backend", "sequential")
    assert len(pd.read_parquet(tmp_path)) == len(LINES)
    with pytest.raises(OntimeError, match=r"^memory://lines/1\.log: not found$"):
        run_command("log", "compact", "memory://lines/1.log", str(tmp_path), "--backend", "sequential")


def test_a_file_that_a_worker_does_not_find_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"^s3://log/file: was removed while the log was read; run this again$"):
        merged_file("s3://log/file", tmp_path / "file")


def test_an_object_store_gets_the_bytes_that_a_folder_gets(tmp_path: Path) -> None:
    for part in (LINES[:70], LINES[50:]):
        compacted(part, "memory://predictions/log")
        compacted(part, str(tmp_path))
    stored = fsspec.filesystem("memory")
    found = {path.removeprefix("/predictions/log/"): stored.cat_file(path) for path in stored.find("/predictions/log")}
    assert found == tables(tmp_path)
