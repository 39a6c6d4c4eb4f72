"""Every reader finds the same files of the log, by their names alone."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.monitoring import log_files
from ontime.monitoring.log_files import LogFile, files_by_day, files_of_day
from ontime.monitoring.store import Store
from tests.monitored import DAY, NEXT_DAY, SHADOW_VERSION, VERSION, Line, Monitored

OTHER_DAY = "2024-03-09"


def test_files_are_found_by_day_and_version_and_nothing_else_is(monitored: Monitored) -> None:
    monitored.write([*monitored.lines, *(line | {"model_version": SHADOW_VERSION} for line in monitored.lines[:3])])
    foreign = ["notes.txt", f"model_version={VERSION}/day={DAY}/notes.parquet", f"day={DAY}/predictions.parquet"]
    for name in foreign:
        path = monitored.folder / "log" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    found = files_by_day("log", after="2024-02-29", last=NEXT_DAY)
    assert {day: [file.version for file in files] for day, files in found.items()} == {
        DAY: [VERSION, SHADOW_VERSION],
        NEXT_DAY: [VERSION],
    }
    assert list(files_by_day("log/", after=DAY, last=NEXT_DAY)) == [NEXT_DAY]
    assert [file.version for file in files_of_day("log", DAY)] == [VERSION, SHADOW_VERSION]
    with pytest.raises(OntimeError, match=f"log: has no predictions of {OTHER_DAY}"):
        files_of_day("log", OTHER_DAY)


def test_rows_come_in_parts_of_a_size_and_in_order(monitored: Monitored, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Line] = [line | {"request_id": f"{place:04d}"} for place, line in enumerate(monitored.lines[:250])]
    monitored.write(lines)
    monkeypatch.setattr(log_files, "BATCH_ROWS", 100)
    (file,) = files_of_day("log", DAY)
    batches = list(file.read().batches(["request_id", "not there"]))
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [list(batch) for batch in batches] == [["request_id"]] * 3
    assert [name for batch in batches for name in batch["request_id"]] == [line["request_id"] for line in lines]
    assert file.read().rows == 250


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / f"model_version={VERSION}" / f"day={DAY}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    (file,) = files_of_day(str(tmp_path), DAY)
    with pytest.raises(OntimeError, match=r"predictions\.parquet: not a readable parquet file: "):
        list(file.read().batches())


def test_a_file_that_was_removed_meanwhile_is_named(tmp_path: Path) -> None:
    file = LogFile(Store(str(tmp_path)), VERSION, DAY)
    with pytest.raises(OntimeError, match=rf"day={DAY}/predictions\.parquet: was removed while the log was read"):
        file.read()
