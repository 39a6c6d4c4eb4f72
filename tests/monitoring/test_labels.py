"""A day's answers are compared with what happened: what was known counts, once, and a second run changes nothing."""

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from ontime.common.params import read_params
from ontime.model_deployment.export.label_series import GroupRate, LabelReference, limits_of, sums_by_day
from ontime.model_deployment.export.label_sums import measures_of
from ontime.model_deployment.export.profile import Bins
from ontime.model_deployment.export.reference import REFERENCE, Reference
from ontime.monitoring.day_files import DayRecord, write_day
from ontime.monitoring.days import ALARM
from ontime.monitoring.log import compacted
from ontime.monitoring.monitor import command
from tests.commands import write_params
from tests.labelled import write_manifest
from tests.live import PARAMS

DAYS = [f"2024-04-{day:02d}" for day in range(1, 11)]
ROWS = 300
THRESHOLD = 0.4


def rows_of(seed: int, days: list[str], odds: dict[str, float] | None = None) -> pd.DataFrame:
    """Predictions of several days, and labels that follow them but for the odds of the last three days' depots."""
    random = np.random.default_rng(seed)
    day = np.repeat(days, ROWS)
    depot = random.choice(["north", "south"], len(day))
    probability = random.beta(2, 5, len(day)).round(4)
    weather = np.exp(0.2 * random.normal(size=len(days)))
    times = np.repeat(weather, ROWS) * pd.Series(depot).map(odds or {}).fillna(1).where(day > days[-8], 1).to_numpy()
    chance = times * probability / (1 + (times - 1) * probability)
    rows = pd.DataFrame({"day": day, "depot": depot, "size": 1.5, "probability": probability})
    rows["key"] = [f"{one}/{number}" for number, one in enumerate(day)]
    rows["target"] = (random.random(len(day)) < chance).astype("int64")
    return rows


def lines_of(rows: pd.DataFrame, hour: int = 8, version: str = "1.1.0") -> list[bytes]:
    """Rows as lines of the service's log."""
    records = rows.to_dict(orient="records")
    return [
        json.dumps(
            {
                "time": f"{row['day']}T{hour:02d}:00:00.000+00:00",
                "event": "prediction",
                "request_id": f"{hour}-{number}",
                "row": 0,
                "model": "parcels",
                "model_version": version,
                "probability": row["probability"],
                "decision": row["probability"] >= THRESHOLD,
                "features": {"depot": row["depot"], "size": row["size"]},
                **({"key": row["key"]} if isinstance(row["key"], str) else {}),
            }
        ).encode()
        for number, row in enumerate(records)
    ]


def write_labels(rows: pd.DataFrame, path: str = "labels.parquet") -> None:
    """Labels of rows, known on the next day at six."""
    known = pd.to_datetime(rows["day"], utc=True) + pd.Timedelta(hours=30)
    rows[["key", "target"]].assign(known_at=known.astype("datetime64[us, UTC]")).to_parquet(path, index=False)


@pytest.fixture(scope="module")
def limits() -> LabelReference:
    """What sound days of the model are like."""
    days = [str(day.date()) for day in pd.date_range("2023-01-01", periods=120)]
    past = rows_of(1, days)
    past["at"] = pd.to_datetime(past["day"], utc=True)
    measures = measures_of("binary")
    found = limits_of(list(sums_by_day(past, "at", ["depot"], measures).values()), measures)
    rate = GroupRate(columns=["depot"], threshold=0.3, base=0.29, rates={"north": 0.31, "south": 0.28})
    return found.model_copy(update={"group_rate": rate})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: LabelReference) -> Path:
    """A folder with a model, a log of ten days and their labels."""
    bins = Bins({"size": [1.0]}, {"depot": 4}, [0.5])
    reference = Reference(bins, {}, np.zeros(3), np.zeros(len(bins.gaps)), 0, limits)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / REFERENCE).write_text(reference.as_text())
    write_manifest(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    params = read_params(PARAMS)
    params["evaluate"]["slices"] = ["depot"]
    write_params(params, tmp_path / "params.yaml")
    rows = rows_of(7, DAYS)
    compacted(lines_of(rows), "log")
    write_labels(rows)
    return tmp_path


def monitor(day: str, *more: str, labels: str = "labels.parquet", version: str = "1.1.0") -> tuple[int, str]:
    """Exit status and output of the command."""
    arguments = ["labels", day, "--log", "log", "--model", "model", "--model-version", version, "--labels", labels]
    done = CliRunner().invoke(command, [*arguments, *more], catch_exceptions=True)
    return done.exit_code, done.output + str(done.exception or "")


def kept(day: str = DAYS[-1]) -> dict[str, Any]:
    """What the check kept of a day."""
    content: dict[str, Any] = json.loads(Path("monitoring", "labels", f"{day}.json").read_text())
    return content


def files() -> dict[str, bytes]:
    """All that the check wrote."""
    return {str(path): path.read_bytes() for path in sorted(Path("monitoring").rglob("*.*"))}


@pytest.mark.usefixtures("checkout")
def test_a_sound_week_is_told_with_its_quality_beside_the_expected_one() -> None:
    status, output = monitor(DAYS[-1])
    assert status == 0, output
    assert output.startswith(
        f"## Labels on {DAYS[-1]}: no series beyond its limit\n\n300 predictions: 300 with a label, 0 with a late one"
    )
    found = kept()
    rows = rows_of(7, DAYS)
    week = rows[rows["day"] > DAYS[2]]
    assert (found["window"]["days"], found["window"]["rows"]) == (DAYS[3:], len(week))
    warned, late = week["probability"] >= THRESHOLD, week["target"] == 1
    cost = {
        "model": 1000 * ((warned & ~late).sum() + 3 * (~warned & late).sum()) / len(week),
        "never_warn": 1000 * 3 * late.sum() / len(week),
        "group_rate": 1000
        * (((week["depot"] == "north") & ~late).sum() + 3 * ((week["depot"] != "north") & late).sum())
        / len(week),
    }
    assert found["cost_per_1000"] == pytest.approx(cost, rel=1e-5)
    expected = ((1 - week["probability"]) * warned + 3 * week["probability"] * ~warned).mean() * 1000
    assert found["quality"]["cost_per_1000"] == pytest.approx({"truth": cost["model"], "expected": expected}, rel=1e-5)
    for metric in ("roc_auc", "log_loss"):
        assert found["quality"][metric]["truth"] == pytest.approx(found["quality"][metric]["expected"], abs=0.06)
    last = rows[rows["day"] == DAYS[-1]]
    assert found["warnings"] == {
        "right": int(((last["probability"] >= THRESHOLD) & (last["target"] == 1)).sum()),
        "false": int(((last["probability"] >= THRESHOLD) & (last["target"] == 0)).sum()),
        "missed": int(((last["probability"] < THRESHOLD) & (last["target"] == 1)).sum()),
    }


@pytest.mark.parametrize(
    ("odds", "cause"), [({"north": 3.0, "south": 3.0}, "offset"), ({"south": 4.0}, "depot=south"), ({}, None)]
)
def test_a_fault_is_named_by_its_series_or_its_segment(
    checkout: Path, odds: dict[str, float], cause: str | None
) -> None:
    shutil.rmtree(checkout / "log")
    rows = rows_of(8, DAYS, odds)
    compacted(lines_of(rows), "log")
    write_labels(rows)
    status, output = monitor(DAYS[-1])
    assert status == (ALARM if cause else 0), output
    assert (cause in kept()["alarms"]) if cause else not kept()["alarms"]
    families = {family.name: family for family in _metrics()}
    alarms = [one.value for one in families["ontime_monitor_alarms"].samples if one.labels == {"check": "labels"}]
    assert alarms == [len(kept()["alarms"])]


def _metrics() -> Any:
    return text_string_to_metric_families(Path("monitoring", "labels.prom").read_text())


@pytest.mark.usefixtures("checkout")
def test_the_metrics_are_prometheus_text_and_say_what_was_found() -> None:
    monitor(DAYS[-1])
    samples = {(one.name, *one.labels.values()): one.value for family in _metrics() for one in family.samples}
    found = kept()
    assert samples["ontime_monitor_labelled_rows",] == ROWS
    assert samples["ontime_monitor_label_missing_rows",] == samples["ontime_monitor_label_late_rows",] == 0
    assert samples["ontime_monitor_label_lag_seconds",] == 22 * 3600
    assert samples["ontime_monitor_quality", "roc_auc", "truth"] == found["quality"]["roc_auc"]["truth"]
    assert samples["ontime_monitor_warnings", "missed"] == found["warnings"]["missed"]
    assert samples["ontime_monitor_cost", "never_warn"] == found["cost_per_1000"]["never_warn"]
    for one in found["series"]:
        assert samples["ontime_monitor_label_shift", one["series"], one["segment"]] == one["shift"]
        assert samples["ontime_monitor_label_shift_limit", one["series"], one["segment"]] == one["limit"]
    assert samples["ontime_monitor_segment_quality", "depot=south", "log_loss"] > 0


@pytest.mark.usefixtures("checkout")
def test_labels_that_are_late_missing_or_twice_are_counted() -> None:
    rows = rows_of(7, DAYS)
    labels = pd.read_parquet("labels.parquet")
    day = np.flatnonzero(rows["day"] == DAYS[-1])
    labels.loc[day[:20], "known_at"] += pd.Timedelta(hours=4, minutes=1)
    twice = labels.loc[day[20:25]].assign(target=1 - labels.loc[day[20:25], "target"])
    twice["known_at"] -= pd.Timedelta(hours=1)
    labels = pd.concat([labels.drop(day[25:32]), twice, twice]).sample(frac=1, random_state=3)
    labels.to_parquet("labels.parquet", index=False)
    assert monitor(DAYS[-1])[0] == 0
    counts = {name: kept()["counts"][name] for name in ("rows", "labelled", "late", "missing", "contradicted")}
    assert counts == {"rows": 300, "labelled": 273, "late": 20, "missing": 7, "contradicted": 5}
    part = rows.iloc[day[20:25].tolist() + day[32:].tolist()]
    sums = json.loads(Path("monitoring", "labels", "days", f"{DAYS[-1]}.json").read_text())["sums"]
    assert sums["segments"][""][1] == part["target"].sum()


@pytest.mark.usefixtures("checkout")
def test_the_last_answer_for_a_key_counts_and_rows_without_key_are_counted() -> None:
    rows = rows_of(7, DAYS)
    again = rows[rows["day"] == DAYS[-1]].head(50)
    compacted(lines_of(again.assign(probability=0.9), hour=9), "log")
    compacted(lines_of(again.assign(probability=0.1), hour=7), "log")
    compacted(lines_of(again.assign(key=None).head(9), hour=10), "log")
    monitor(DAYS[-1])
    found = kept()["counts"]
    assert (found["rows"], found["without_key"], found["repeated"], found["labelled"]) == (409, 9, 100, 300)
    sums = json.loads(Path("monitoring", "labels", "days", f"{DAYS[-1]}.json").read_text())["sums"]
    rest = rows[rows["day"] == DAYS[-1]].iloc[50:]
    assert sums["segments"][""][2] == pytest.approx(rest["probability"].sum() + 45)


@pytest.mark.usefixtures("checkout")
def test_a_second_run_gives_the_same_bytes_whatever_the_order_of_the_labels() -> None:
    monitor(DAYS[-1])
    first = files()
    assert len(first) == 2 + 2 * 7
    labels = pd.read_parquet("labels.parquet")
    for again in (labels, pd.concat([labels, labels]).sample(frac=1, random_state=1)):
        again.to_parquet("labels.parquet", index=False)
        monitor(DAYS[-1])
        assert files() == first
    shutil.rmtree("monitoring")
    monitor(DAYS[-1])
    assert files() == first


@pytest.mark.usefixtures("checkout")
def test_labels_may_come_day_by_day_and_a_contradiction_is_noticed_and_stays_counted() -> None:
    rows = rows_of(7, DAYS)
    monitor(DAYS[-1])
    whole = kept()
    shutil.rmtree("monitoring")
    for day in DAYS:
        write_labels(rows[rows["day"] == day])
        monitor(day)
    assert kept() == whole
    wrong = rows[rows["day"] == DAYS[-2]].head(6)
    write_labels(wrong.assign(target=1 - wrong["target"]))
    monitor(DAYS[-1])
    changed = json.loads(Path("monitoring", "labels", "days", f"{DAYS[-2]}.json").read_text())
    assert changed["counts"]["contradicted"] == 6
    assert kept()["quality"] != whole["quality"]
    after = files()
    monitor(DAYS[-1])
    assert files() == after


@pytest.mark.usefixtures("checkout")
def test_a_day_that_the_log_has_no_longer_stays_what_it_was() -> None:
    monitor(DAYS[-1])
    first = files()
    for day in DAYS[:-1]:
        shutil.rmtree(Path("log", "model_version=1.1.0", f"day={day}"))
    monitor(DAYS[-1])
    assert files() == first


@pytest.mark.usefixtures("checkout")
def test_less_than_a_week_and_a_day_without_labels_raise_no_alarm() -> None:
    rows = rows_of(8, DAYS, {"north": 9.0, "south": 9.0})
    shutil.rmtree("log")
    compacted(lines_of(rows[rows["day"] > DAYS[4]]), "log")
    write_labels(rows)
    status, _ = monitor(DAYS[-1])
    assert (status, len(kept()["window"]["days"]), kept()["alarms"]) == (0, 5, [])
    compacted(lines_of(rows), "log")
    write_labels(rows[rows["day"] < DAYS[-1]], "earlier.parquet")
    shutil.rmtree("monitoring")
    status, output = monitor(DAYS[-1], labels="earlier.parquet")
    assert (status, kept()["counts"]["missing"], len(kept()["window"]["days"])) == (0, ROWS, 6)
    assert "no label is known yet" in output
    assert monitor(DAYS[-1])[0] == ALARM


@pytest.mark.usefixtures("checkout")
def test_another_versions_answers_are_its_own() -> None:
    rows = rows_of(7, DAYS)
    compacted(lines_of(rows[rows["day"] == DAYS[-1]].head(30), version="2.0.0"), "log")
    monitor(DAYS[-1])
    stable = kept()
    monitor(DAYS[-1], version="2.0.0")
    assert (kept()["counts"]["labelled"], kept()["window"]["days"]) == (30, DAYS[-1:])
    monitor(DAYS[-1])
    assert kept() == stable


@pytest.mark.usefixtures("checkout")
def test_labels_come_from_a_query_too() -> None:
    monitor(DAYS[-1])
    first = kept()
    shutil.rmtree("monitoring")
    connection = sqlite3.connect("truth.db")
    labels = pd.read_parquet("labels.parquet")
    labels.assign(known_at=labels["known_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_sql("answers", connection)
    connection.close()
    query = "SELECT key, target, known_at FROM answers"
    status, output = monitor(DAYS[-1], "--query", query, labels="sqlite:///truth.db")
    assert status == 0, output
    assert kept() == first


@pytest.mark.usefixtures("checkout")
def test_a_model_without_limits_is_told_without_alarm() -> None:
    bins = Bins({"size": [1.0]}, {"depot": 4}, [0.5])
    Path("model", REFERENCE).write_text(Reference(bins, {}, np.zeros(3), np.zeros(len(bins.gaps)), 0).as_text())
    status, output = monitor(DAYS[-1])
    assert status == 0
    assert "The model's reference has no limits for labels." in output
    assert "group_rate" not in kept()["cost_per_1000"]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(("day", "version"), [("2024-05-01", "1.1.0"), (DAYS[-1], "9.9.9"), ("yesterday", "1.1.0")])
def test_a_day_or_a_version_without_rows_is_one_line(day: str, version: str) -> None:
    status, output = monitor(day, version=version)
    assert status == 1
    assert re.search(rf"log: has no predictions of version {re.escape(version)} on {day}$", output.strip())
    assert not Path("monitoring", "labels.prom").exists()


@pytest.mark.usefixtures("checkout")
def test_earlier_days_that_were_quarantined_are_left_out_of_the_window() -> None:
    wrong = DAYS[7:9]
    for day in DAYS[:9]:
        write_day(
            Path("monitoring"),
            DayRecord(day=day, checks={"inputs": []}, skipped={}, quarantined=day in wrong, challenger=None),
        )
    monitor(DAYS[9])
    assert kept()["window"]["days"] == [*DAYS[1:7], DAYS[9]]
    # a day that is looked at again is there, whatever was found on it
    monitor(DAYS[8])
    assert kept(DAYS[8])["window"]["days"] == [*DAYS[1:7], DAYS[8]]
