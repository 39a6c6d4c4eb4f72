"""Every logged row has the probability and the decision of the model that is said to have answered it."""

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ontime.monitoring.days import ALARM
from tests.forge import set_parameters
from tests.monitored import DAY, NEXT_DAY, SHADOW_VERSION, VERSION, Line, Monitored
from tests.services import threshold_of

REPLAY = ["replay", DAY, "--log", "log"]


def of_day(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["time"].startswith(DAY)]


def test_a_sound_day_has_no_row_that_differs(monitored: Monitored) -> None:
    monitored.write(monitored.lines)
    status, output = monitored.run(*REPLAY)
    assert status == 0, output
    rows = len(of_day(monitored.lines))
    assert output.startswith(f"## Replay of {DAY}: no row differs\n\n- prediction: {rows} of {rows} rows scored again")
    found = monitored.found("replay")["prediction"]
    assert found == {"rows": rows, "compared": rows, "differing": 0, "incomparable": {}, "examples": []}


@pytest.mark.parametrize("fault", ["another_model", "decision", "swapped", "one_row", "not_a_number"])
def test_a_row_with_another_answer_is_an_alarm_that_names_it(monitored: Monitored, fault: str) -> None:
    model, line = monitored.champion, monitored.lines[5]
    concerned = [line]
    if fault == "another_model":
        concerned = of_day(monitored.lines)
        for one in concerned:
            one["probability"] = 1 - one["probability"]
            one["decision"] = one["probability"] >= threshold_of(model)
    elif fault == "swapped":
        concerned = of_day(monitored.lines)
        first, second = model.encoder.numbers[:2]
        for one in concerned:
            one["features"][first], one["features"][second] = one["features"][second], one["features"][first]
    elif fault == "decision":
        line["decision"] = not line["decision"]
    elif fault == "one_row":
        line["probability"] += 3 * model.manifest.golden_tolerance
    else:
        line["probability"] = float("nan")
    monitored.write(monitored.lines)
    status, output = monitored.run(*REPLAY)
    if fault == "not_a_number":
        # JSON has no such number, so the line is none of the service's
        assert (status, monitored.found("replay")["prediction"]["rows"]) == (0, len(of_day(monitored.lines)) - 1)
        return
    assert status == ALARM, output
    found = monitored.found("replay")["prediction"]
    assert 0 < found["differing"] <= len(concerned)
    assert found["differing"] == 1 or len(concerned) > 1
    named = {(one["request_id"], one["row"]) for one in found["examples"]}
    assert named <= {(one["request_id"], one["row"]) for one in concerned}
    assert monitored.found("replay")["alarms"] == {"replay": found["differing"]}
    (monitored.folder / "monitoring" / "replay" / f"{NEXT_DAY}.json").unlink(missing_ok=True)
    assert monitored.run("replay", NEXT_DAY, "--log", "log")[0] == 0


def test_what_lies_within_the_tolerance_is_no_difference(monitored: Monitored) -> None:
    for line in monitored.lines:
        line["probability"] += 0.5 * monitored.champion.manifest.golden_tolerance
    monitored.write(monitored.lines)
    assert monitored.run(*REPLAY)[0] == 0


def test_rows_whose_features_were_left_out_are_counted_and_not_compared(monitored: Monitored) -> None:
    name = monitored.champion.encoder.numbers[0]
    for line in of_day(monitored.lines)[:40]:
        del line["features"][name]
    monitored.write(monitored.lines)
    status, output = monitored.run(*REPLAY)
    assert status == 0
    assert "; 40 not comparable: features left out" in output
    found = monitored.found("replay")["prediction"]
    assert found["compared"] == found["rows"] - 40


def test_a_day_without_any_comparable_row_says_so(monitored: Monitored) -> None:
    for line in monitored.lines:
        line["features"] = {}
    monitored.write(monitored.lines)
    status, output = monitored.run(*REPLAY)
    assert (status, "0 of 300 rows scored again" in output) == (0, True), output


def test_a_number_that_became_a_text_is_counted_and_costs_no_other_row(monitored: Monitored) -> None:
    name = monitored.champion.encoder.numbers[0]
    monitored.lines[0]["features"][name] = "heavy"
    monitored.lines[1]["features"][name] = str(monitored.lines[1]["features"][name] or 1.0)
    monitored.write(monitored.lines)
    assert monitored.run(*REPLAY)[0] in (0, ALARM)
    found = monitored.found("replay")["prediction"]
    assert found["incomparable"] == {"values of another type": 1}
    assert found["compared"] == found["rows"] - 1


def shadow_lines(lines: list[Line]) -> list[Line]:
    """The same answers by a model beside one of another version, whose lines leave out the features."""
    shadow = [{name: value for name, value in line.items() if name != "features"} for line in lines]
    return [line | {"event": "shadow"} for line in shadow] + [
        line | {"model_version": SHADOW_VERSION, "probability": 0.5, "decision": True} for line in lines
    ]


def test_a_shadow_is_scored_by_the_features_of_the_model_that_answered(monitored: Monitored) -> None:
    lines = shadow_lines(of_day(monitored.lines))
    rows = len(lines) // 2
    # the prediction's line of one row is lost
    monitored.write(lines[:-1])
    status, output = monitored.run(*REPLAY)
    assert status == 0, output
    content = monitored.found("replay")
    assert content["shadow"] == {
        "rows": rows,
        "compared": rows - 1,
        "differing": 0,
        "incomparable": {"no line of the prediction": 1},
        "examples": [],
    }
    assert content["prediction"]["rows"] == 0
    assert content["other_versions"] == {SHADOW_VERSION: rows - 1}
    assert f"- not looked at: {rows - 1} rows of version {SHADOW_VERSION}" in output


def test_a_shadow_that_differs_is_an_alarm_of_its_own(monitored: Monitored) -> None:
    lines = shadow_lines(of_day(monitored.lines))
    lines[0]["probability"] = 0.999
    monitored.write([*lines])
    assert monitored.run(*REPLAY)[0] == ALARM
    assert monitored.found("replay")["alarms"] == {"shadow": 1}


def test_a_sample_is_the_same_in_each_run_and_order(monitored: Monitored) -> None:
    set_parameters(monitored.folder, "monitor", sample_rows=25)
    monitored.write(monitored.lines)
    monitored.write(reversed(monitored.lines), "reversed")
    written = set()
    for log in ("log", "log", "reversed"):
        assert monitored.run("replay", DAY, "--log", log)[0] == 0
        written.add((monitored.folder / "monitoring" / "replay" / f"{DAY}.json").read_bytes())
    assert len(written) == 1
    assert monitored.found("replay")["prediction"]["compared"] == 25


def test_a_file_that_was_written_without_the_number_of_features_is_compared(monitored: Monitored) -> None:
    monitored.write(monitored.lines)
    for path in (monitored.folder / "log").rglob("*.parquet"):
        pd.read_parquet(path).drop(columns="features").to_parquet(path)
    status, output = monitored.run(*REPLAY)
    assert status == 0, output
    assert "300 of 300 rows" in output


def test_the_metrics_are_prometheus_text(monitored: Monitored) -> None:
    monitored.lines[0]["decision"] = not monitored.lines[0]["decision"]
    monitored.write(monitored.lines)
    monitored.run(*REPLAY)
    text = (monitored.folder / "monitoring" / "replay.prom").read_text()
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(text)}
    assert found["ontime_monitor_replayed_rows"] == 300
    assert found["ontime_monitor_replay_differing_rows"] == 1
    assert found["ontime_monitor_alarms"] == 1


@pytest.mark.parametrize(
    ("day", "version", "message"),
    [
        ("2024-05-01", VERSION, "log: has no predictions of 2024-05-01"),
        (DAY, "9.9.9", f"log: has no rows of version {VERSION} on {DAY}, but of 9.9.9"),
    ],
)
def test_a_day_or_a_version_without_rows_is_one_line(
    monitored: Monitored, day: str, version: str, message: str
) -> None:
    monitored.write(line | {"model_version": version} for line in monitored.lines)
    status, output = monitored.run("replay", day, "--log", "log")
    assert (status, output) == (1, message)
    assert not (monitored.folder / "monitoring").exists()
