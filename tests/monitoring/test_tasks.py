"""A fork of classes and one of numbers, from a log with labels to what a day says, what follows, and the backtest."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from ontime.backtest.tables import markdown
from ontime.cli import commands
from ontime.common import paths
from ontime.common.files import read_json, read_parquet, write_parquet
from ontime.common.layout import Layout
from ontime.datasets.keys import key_text
from ontime.model_deployment.export.label_series import SERIES_DAYS, episodes
from ontime.model_deployment.export.reference import REFERENCE, read_reference
from ontime.model_deployment.inference.champion import load_champion
from ontime.monitoring.days import ALARM, Day
from ontime.monitoring.label_kinds import labels_of
from ontime.monitoring.label_source import read_labels
from ontime.monitoring.labels import check
from ontime.monitoring.log import compacted
from ontime.tasks.names import TaskName
from ontime.tasks.task import load_task
from tests.commands import run_command
from tests.task_graphs import KINDS, run_graph

DAYS, ROWS = 150, 40
VERSION = "1.2.3"
OPTIONS = ["--log", "log", "--model-version", VERSION, "--labels"]
Faults = dict[str, Callable[["pd.Series[Any]", np.random.Generator], "pd.Series[Any]"]]


@dataclass(frozen=True)
class Fork:
    """A fork whose test days a service has answered, in `log`, and their labels in `labels.parquet`."""

    task: TaskName
    folder: Path
    days: list[str]
    keys: pd.DataFrame
    """Key and day of each answered row."""


def moved(values: "pd.Series[Any]", random: np.random.Generator) -> "pd.Series[Any]":
    """Three in ten rows of one class are called another one."""
    one, other = values.dropna().unique()[:2]
    return values.where((values != one) | (random.random(len(values)) > 0.3), other)


FAULTS: dict[TaskName, Faults] = {
    "multiclass": {"a class moved to another": moved},
    "regression": {
        "the target shifted": lambda values, _: values + 15_000,
        "the target in another unit": lambda values, _: values * 0.9,
    },
}


@pytest.fixture(scope="module", params=["multiclass", "regression"])
def fork(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """One task after the other."""
    kind = KINDS[request.param]
    table = kind.table(DAYS * ROWS)
    minutes = np.arange(len(table)) * (24 * 60 // ROWS)
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    table[kind.time] = times.strftime("%Y-%m-%dT%H:%M:%SZ")
    folder = run_graph(tmp_path_factory.mktemp(kind.task) / "fork", table, kind.task, *kind.options)
    with contextlib.chdir(folder):
        run_command("labels", "labels.parquet")
        keys = answer_test_days()
    return Fork(kind.task, folder, sorted(set(keys["day"]))[:-1], keys)


def answer_test_days() -> pd.DataFrame:
    """Write the log of a sound service that was asked about the test rows; the key and the day of each."""
    champion, layout = load_champion(paths.CHAMPION), Layout(**read_json(paths.FEATURE_LAYOUT))
    rows = read_parquet(paths.split_rows("test"))
    features = champion.encoder.features
    outputs = champion.predict(champion.encoder.transform({name: rows[name].to_numpy() for name in features}))
    answers = {name: champion.answer.values(name, outputs).tolist() for name in champion.answer.types}
    records = rows[features].astype(object).where(rows[features].notna(), None).to_dict("records")
    keys = pd.DataFrame({"key": key_text(rows, layout.key), "day": rows[str(layout.time)].dt.strftime("%Y-%m-%d")})
    lines = [
        json.dumps(
            {
                "time": f"{day}T10:00:00.000+00:00",
                "event": "prediction",
                "request_id": f"request{place}",
                "row": 0,
                "model": champion.name,
                "model_version": VERSION,
                **{name: values[place] for name, values in answers.items()},
                "features": record,
                "key": key,
            }
        ).encode()
        for place, (record, key, day) in enumerate(zip(records, keys["key"], keys["day"], strict=True))
    ]
    counts = compacted(lines, "log")
    assert (counts["predictions"], counts["unreadable"]) == (len(rows), 0)
    return keys


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and output of a command of `ontime`."""
    done = CliRunner().invoke(commands, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def alarms_by_day(fork: Fork, labels: Path, output: Path) -> list[list[str]]:
    """What the check says of each day, once there are seven with labels."""
    found = []
    with contextlib.chdir(fork.folder):
        known = read_labels(str(labels), None, labels_of(paths.CHAMPION))
        for day in fork.days:
            checked = check(Day(day, "log", paths.CHAMPION, VERSION, output), known)
            found.append([one.cause for one in checked.findings])
    assert not any(found[: SERIES_DAYS - 1])
    return found[SERIES_DAYS - 1 :]


def with_fault(fork: Fork, name: str, path: Path, last: int = SERIES_DAYS) -> Path:
    """Labels of which those of the last days have a fault."""
    labels = read_parquet(fork.folder / "labels.parquet")
    concerned = labels["key"].isin(fork.keys.loc[fork.keys["day"] > fork.days[-last - 1], "key"])
    changed = FAULTS[fork.task][name](labels["target"], np.random.default_rng(1))
    write_parquet(labels.assign(target=labels["target"].mask(concerned, changed)), path)
    return path


def test_the_labels_that_are_written_are_those_that_are_read(fork: Fork) -> None:
    with contextlib.chdir(fork.folder):
        written = read_parquet(Path("labels.parquet"))
        read = read_labels("labels.parquet", None, labels_of(paths.CHAMPION))
        task, rows = load_task(), read_parquet(paths.split_rows("test"))
    if task.classes:
        assert set(written["target"].dropna()) == set(task.classes)
    mine = read[read["key"].isin(fork.keys["key"])]
    np.testing.assert_array_equal(mine["target"].astype("float64"), rows["target"].astype("float64"))


def test_the_reference_has_limits_of_the_tasks_series(fork: Fork) -> None:
    labels = read_reference(fork.folder / paths.CHAMPION / REFERENCE).labels
    assert labels is not None and labels.group_rate is None
    names = {series for series, segment in labels.by_series() if not segment}
    expected = {
        "multiclass": {"log_loss", "accuracy", "offset of moss", "offset of rose", "offset of sweet fern"},
        "regression": {"rmse", "offset"},
    }
    assert names == expected[fork.task]
    assert any(segment for _, segment in labels.by_series())


def test_sound_days_raise_at_most_one_episode_and_every_fault_is_found_within_seven_days(
    fork: Fork, tmp_path: Path
) -> None:
    sound = alarms_by_day(fork, Path("labels.parquet"), tmp_path / "sound")
    assert len(sound) >= 14
    assert episodes(np.array([bool(one) for one in sound])) <= 1
    for name in FAULTS[fork.task]:
        found = alarms_by_day(fork, with_fault(fork, name, tmp_path / "labels.parquet"), tmp_path / name)
        assert set(found[-1]) - set(sound[-1]), name


def test_a_day_tells_its_labels_in_json_a_report_and_metrics_and_asks_for_a_challenger(
    fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork.folder)
    (name, *_), day = FAULTS[fork.task], fork.days[-1]
    labels = str(with_fault(fork, name, tmp_path / "labels.parquet"))
    for one in fork.days[-SERIES_DAYS:-1]:
        run("monitor", "labels", one, *OPTIONS, labels, "--output", str(tmp_path / "out"))
    status, text = run("monitor", "day", day, *OPTIONS, labels, "--output", str(tmp_path / "out"))
    assert status == ALARM, text
    record = read_json(tmp_path / "out" / "day" / f"{day}.json")
    assert {"inputs", "replay", "labels"} <= set(record["checks"])
    assert (record["quarantined"], record["challenger"]) == (False, "labels"), record
    found = read_json(tmp_path / "out" / "labels" / f"{day}.json")
    loss = load_task().loss_name
    assert found["quality"][loss].keys() == {"truth", "expected"}
    assert found["cost_per_1000"] == found["warnings"] == {}
    assert all(loss in one for one in found["segments"].values())
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"## Labels on {day}: {len(found['alarms'])} of " in report
    assert "labels no longer fit what the model says" in report
    assert "Cost" not in report
    assert (tmp_path / "out" / "quality.png").stat().st_size > 10_000
    metrics = text_string_to_metric_families((tmp_path / "out" / "day.prom").read_text())
    samples = {(one.name, *one.labels.values()): one.value for family in metrics for one in family.samples}
    assert samples["ontime_monitor_alarms", "labels"] == len(found["alarms"])
    assert samples["ontime_monitor_quality", loss, "truth"] == found["quality"][loss]["truth"]
    for one in found["series"]:
        assert samples["ontime_monitor_label_shift", one["series"], one["segment"]] == one["shift"]
    assert not [one for one in samples if one[0] in ("ontime_monitor_cost", "ontime_monitor_warnings")]
    status, text = run("monitor", "challenger", day, "--output", str(tmp_path / "out"))
    assert status == 0
    assert "split.test_from=" in text and "split.until=" in text


def test_the_quality_is_that_of_the_rows_themselves(
    fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork.folder)
    day = fork.days[-1]
    run("monitor", "labels", day, *OPTIONS, "labels.parquet", "--output", str(tmp_path))
    found = read_json(tmp_path / "labels" / f"{day}.json")
    champion, task, rows = load_champion(paths.CHAMPION), load_task(), read_parquet(paths.split_rows("test"))
    rows = rows[fork.keys["day"].isin(found["window"]["days"]).to_numpy() & rows["target"].notna().to_numpy()]
    outputs = champion.predict(
        champion.encoder.transform({name: rows[name].to_numpy() for name in champion.encoder.features})
    )
    assert found["window"]["rows"] == len(rows)
    loss = task.loss(rows["target"].to_numpy(dtype=np.float64), outputs.astype(np.float64))
    assert found["quality"][task.loss_name]["truth"] == pytest.approx(loss, rel=1e-4)


def test_a_log_of_another_model_is_one_line(fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fork.folder)
    line = {
        "time": f"{fork.days[-1]}T10:00:00.000+00:00",
        "event": "prediction",
        "request_id": "a",
        "row": 0,
        "model": "other",
        "model_version": VERSION,
        **({"probability": [0.5, 0.5], "decision": "moss"} if fork.task == "multiclass" else {"probability": 0.5}),
        "features": {},
        "key": str(fork.keys["key"].iloc[-ROWS * 2]),
    }
    compacted([json.dumps(line).encode()], str(tmp_path / "log"))
    options = ["--log", str(tmp_path / "log"), *OPTIONS[2:]]
    done = CliRunner().invoke(
        commands, ["monitor", "labels", fork.days[-1], *options, "labels.parquet", "--output", str(tmp_path / "out")]
    )
    assert str(done.exception).endswith("has values that are not answers of this model")
    assert not (tmp_path / "out" / "labels.prom").exists()


def test_the_backtest_compares_policies_in_the_tasks_loss(
    fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork.folder)
    arguments = ["--start", "2024-03-11", "--every-days", "28", "--validation-days", "21"]
    status, text = run("backtest", *arguments, "--output", str(tmp_path / "found.json"))
    assert status == 0, text
    found, task = read_json(tmp_path / "found.json"), load_task()
    assert text.endswith(markdown(found) + "\n")
    periods = found["replays"][0]["periods"]
    assert [one["name"] for one in periods] == ["decides", "shows"]
    for period in periods:
        assert len(period["rows"]) == 10
        assert {task.loss_name, "difference", "low", "high"} <= period["rows"][0].keys()
        assert "cost_per_1000" not in period["rows"][0]
        assert all(row["low"] <= row["difference"] <= row["high"] for row in period["rows"])
