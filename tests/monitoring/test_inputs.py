"""Each day of the log is compared with the sound days before it, and a second run changes nothing."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from ontime.model_deployment.export.reference import WINDOW_DAYS
from ontime.monitoring.days import ALARM
from ontime.monitoring.inputs import SAID
from ontime.monitoring.log import compacted
from ontime.monitoring.monitor import command
from tests.forge import set_parameters
from tests.watched import LIVE_DAYS, ROWS, watched_model


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model's reference, and a log of five days, in the fourth of which all depots are unknown."""
    monkeypatch.chdir(tmp_path)
    return watched_model(tmp_path, LIVE_DAYS, [LIVE_DAYS[3]])


def monitor(day: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    arguments = ["inputs", day, "--log", "log", "--model", "model", "--model-version", "1.1.0"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=True)
    return done.exit_code, done.output + str(done.exception or "")


def test_a_sound_day_is_told_with_all_its_rows_and_those_of_one_version_as_answers(checkout: Path) -> None:
    status, output = monitor(LIVE_DAYS[2])
    assert status == 0, output
    assert output.startswith(
        f"## Inputs on {LIVE_DAYS[2]}: no input moved too far\n\n200 predictions, compared with 28 "
    )
    found = json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[2]}.json").read_text())
    assert (found["rows"], found["alarms"], len(found["compared_with"])) == (ROWS, [], WINDOW_DAYS)
    assert list(found["inputs"]) == ["weight", "probability", "depot", SAID]
    assert sum(found["counts"][-4:]) == ROWS - ROWS // 10


def test_a_fault_is_named_and_its_day_is_left_out_afterwards(checkout: Path) -> None:
    status, output = monitor(LIVE_DAYS[3])
    assert (status, "1 moved too far" in output) == (ALARM, True)
    # all depots are unknown, which says more than that the depot moved
    assert "| depot | unknown | 1 | " in output
    status, output = monitor(LIVE_DAYS[4])
    assert status == 0, output
    found = json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[4]}.json").read_text())
    assert found["compared_with"][-3:] == LIVE_DAYS[:3]


def test_the_metrics_are_prometheus_text(checkout: Path) -> None:
    monitor(LIVE_DAYS[3])
    families = {
        family.name: family
        for family in text_string_to_metric_families((checkout / "monitoring" / "inputs.prom").read_text())
    }
    shift, limit = (
        {sample.labels["input"]: sample.value for sample in families[f"ontime_monitor_input_{name}"].samples}
        for name in ("shift", "shift_limit")
    )
    assert [name for name in shift if shift[name] > limit[name]] == ["depot"]
    assert families["ontime_monitor_rows"].samples[0].value == ROWS


def test_a_second_run_gives_the_same_bytes_and_more_lines_a_new_count(checkout: Path) -> None:
    monitor(LIVE_DAYS[4])
    first = {path: path.read_bytes() for path in (checkout / "monitoring").rglob("*.*")}
    assert len(first) == len(LIVE_DAYS) + 1
    monitor(LIVE_DAYS[4])
    assert {path: path.read_bytes() for path in (checkout / "monitoring").rglob("*.*")} == first
    late = {
        "time": f"{LIVE_DAYS[0]}T23:59:59.999+00:00",
        "event": "prediction",
        "request_id": "late",
        "row": 0,
        "model": "parcels",
        "model_version": "1.1.0",
        "probability": 0.5,
        "decision": True,
        "features": {},
    }
    compacted([json.dumps(late).encode()], "log")
    monitor(LIVE_DAYS[4])
    assert json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[0]}.json").read_text())["rows"] == ROWS + 1


def test_missing_and_unknown_shares_are_told_of_each_input(checkout: Path) -> None:
    monitor(LIVE_DAYS[3])
    inputs = json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[3]}.json").read_text())["inputs"]
    rows = pd.concat([pd.read_parquet(path) for path in (checkout / "log").glob(f"*/day={LIVE_DAYS[3]}/*")])
    assert inputs["weight"]["missing"] == pytest.approx(rows["feature_weight"].isna().mean(), rel=1e-5)
    assert 0.02 < inputs["weight"]["missing"] < 0.3
    assert (inputs["depot"]["missing"], inputs["depot"]["unknown"]) == (0, 1)
    assert not {"missing", "unknown"} & inputs[SAID].keys()
    text = (checkout / "monitoring" / "inputs.prom").read_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for kind, names in (("missing", {"weight", "probability", "depot"}), ("unknown", {"depot"})):
        samples = families[f"ontime_monitor_input_{kind}_share"].samples
        assert {one.labels["input"]: one.value for one in samples} == {name: inputs[name][kind] for name in names}


def test_segments_are_told_with_their_rows_and_what_is_missing(checkout: Path) -> None:
    set_parameters(checkout, "evaluate", slices=["depot"])
    status, output = monitor(LIVE_DAYS[0])
    assert status == 0, output
    segments = json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[0]}.json").read_text())["segments"]
    assert list(segments) == ["depot=north", "depot=south"]
    assert sum(one["rows"] for one in segments.values()) == ROWS
    assert "| segment | rows | missing | most missing |" in output


def test_a_day_of_several_schemas_and_versions_is_counted_whole(checkout: Path) -> None:
    """A number that became a text, a column that vanished and one that came, each in a version of its own."""
    changed: dict[str, dict[str, Any]] = {
        "2.0.0": {"weight": "heavy", "probability": 1.0, "depot": "north"},
        "2.1.0": {"weight": "1.5", "probability": 1.0, "depot": "north"},
        "3.0.0": {"weight": 1.0, "depot": "north", "colour": "red"},
        "4.0.0": {"weight": 1.0, "probability": 1.0, "depot": 7},
    }
    lines = [
        {
            "time": f"{LIVE_DAYS[0]}T09:00:00.000+00:00",
            "event": "prediction",
            "request_id": version,
            "row": 0,
            "model": "parcels",
            "model_version": version,
            "probability": 0.5,
            "decision": True,
            "features": features,
        }
        for version, features in changed.items()
    ]
    compacted([json.dumps(line).encode() for line in lines], "log")
    status, output = monitor(LIVE_DAYS[0])
    assert status == 0, output
    found = json.loads((checkout / "monitoring" / "inputs" / f"{LIVE_DAYS[0]}.json").read_text())
    assert found["rows"] == ROWS + 4
    assert found["versions"] == {"1.0.0": 20, "1.1.0": 180} | dict.fromkeys(changed, 1)
    assert found["other_schema"] == {
        "absent": {"probability": 1},
        "foreign": {"colour": 1},
        "other_type": {"depot": 1, "weight": 1},
    }
    assert " 24 of them are of other versions.\n" in output
    assert "- `weight`: of another type than the model takes, in 1 rows" in output


def test_a_day_that_was_removed_from_the_log_stays_what_it_was(checkout: Path) -> None:
    monitor(LIVE_DAYS[4])
    before = {path: path.read_bytes() for path in (checkout / "monitoring").rglob("*.*")}
    for day in LIVE_DAYS[:4]:
        for path in (checkout / "log").glob(f"*/day={day}/*"):
            path.unlink()
    assert monitor(LIVE_DAYS[4])[0] == 0
    assert {path: path.read_bytes() for path in (checkout / "monitoring").rglob("*.*")} == before


@pytest.mark.parametrize("day", ["2024-04-20", "2024-02-01", "yesterday"])
def test_a_day_without_rows_is_one_line(checkout: Path, day: str) -> None:
    status, output = monitor(day)
    assert status == 1
    assert f"has no predictions of {day} after the reference, which ends on 2024-03-25" in output
    assert not (checkout / "monitoring" / "inputs.prom").exists()
