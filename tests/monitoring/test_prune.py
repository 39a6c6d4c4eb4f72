"""Files of old days are removed, and nothing else is."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from ontime.monitoring.log import compacted
from ontime.monitoring.prune import pruned
from tests.commands import run_command
from tests.monitored import encoded

FIRST_KEPT = date(2024, 3, 2)


def write_days(log: Path, *days: str, version: str = "1.0.0") -> None:
    """A log with a row on each day."""
    row = {"event": "prediction", "request_id": "a", "row": 0, "model": "parcels", "model_version": version}
    answer = {"probability": 0.5, "decision": True, "features": {"weight": 1.0}}
    compacted(encoded({"time": f"{day}T10:00:00.000+00:00", **row, **answer} for day in days), str(log))


def names(log: Path) -> list[str]:
    return sorted(str(path.relative_to(log)) for path in log.rglob("*") if not path.is_dir())


def test_days_before_the_first_that_stays_are_removed_in_every_version(tmp_path: Path) -> None:
    write_days(tmp_path, "2023-12-31", "2024-03-01", "2024-03-02", "2999-01-01")
    write_days(tmp_path, "2024-03-01", version="2.0.0")
    removed, left = pruned(str(tmp_path), FIRST_KEPT)
    assert (len(removed), left) == (3, [])
    assert names(tmp_path) == [
        f"model_version=1.0.0/day={day}/predictions.parquet" for day in ("2024-03-02", "2999-01-01")
    ]
    assert not (tmp_path / "model_version=2.0.0").exists()
    assert pruned(str(tmp_path), FIRST_KEPT) == ([], [])


def test_what_is_not_a_file_of_the_log_stays(tmp_path: Path) -> None:
    log, day = tmp_path / "log", "model_version=1.0.0/day=2024-03-01"
    write_days(log, "2024-03-01")
    mine = [
        f"{day}/notes.txt",
        "model_version=1.0.0/day=yesterday/predictions.parquet",
        "model_version=../day=2024-01-01/predictions.parquet",
        "predictions.parquet",
        "deep/model_version=1.0.0/day=2024-01-01/predictions.parquet",
    ]
    for name in mine:
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(b"mine")
    foreign = ["model_version=1.0.0/day=2024-01-01", "model_version=1.0.0/day=2024-01-02"]
    for name in foreign:
        (log / name).mkdir()
    (log / foreign[0] / "predictions.parquet").write_bytes(b"no table")
    pd.DataFrame({"amount": [1]}).to_parquet(log / foreign[1] / "predictions.parquet")
    write_days(tmp_path / "elsewhere", "2024-02-01")
    (log / "model_version=1.0.0/day=2024-02-01").symlink_to(tmp_path / "elsewhere/model_version=1.0.0/day=2024-02-01")
    removed, left = pruned(str(log), FIRST_KEPT)
    assert [file.name for file in removed] == [f"{day}/predictions.parquet"]
    assert {file.day for file in left} >= {"2024-01-01", "2024-01-02"}
    assert set(names(log)) >= {*mine, *(f"{name}/predictions.parquet" for name in foreign)}
    assert names(tmp_path / "elsewhere") == ["model_version=1.0.0/day=2024-02-01/predictions.parquet"]


def test_the_command_counts_days_back_from_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=ago)).isoformat() for ago in (0, 1, 40, 41)]
    write_days(tmp_path, *days)
    run_command("log", "prune", str(tmp_path), "--keep-days", "30")
    assert capsys.readouterr().out == f"removed 2 files of days before the last 30: {tmp_path}\n"
    assert [name.split("day=")[1][:10] for name in names(tmp_path)] == sorted(days[:2])


def test_a_log_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert pruned(str(tmp_path / "none"), FIRST_KEPT) == ([], [])
