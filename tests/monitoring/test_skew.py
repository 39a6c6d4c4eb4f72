"""A logged row has the features that the graph has for its key, or the feature that differs is named."""

from collections.abc import Callable

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ontime.monitoring.days import ALARM
from tests.forge import set_parameters
from tests.monitored import DAY, Line, Monitored

SKEW = ["skew", DAY, "--log", "log"]


def test_a_sound_day_has_no_feature_that_differs(monitored: Monitored) -> None:
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW)
    assert status == 0, output
    assert "## Skew on 2024-03-01: no input differs\n\n300 of 300 rows with a key compared" in output
    found = monitored.found("skew")
    assert (found["compared"], found["keys_not_in_graph"]) == (300, 0)
    assert {one["share"] for one in found["inputs"].values()} == {0}
    assert {one["compared"] for one in found["inputs"].values()} == {300}


def stale(lines: list[Line]) -> list[str]:
    """The last row's values come again, as of a feed that stands still."""
    for line in lines:
        line["features"]["weight"] = lines[0]["features"]["weight"]
    return ["weight"]


def swapped(lines: list[Line]) -> list[str]:
    for line in lines:
        features = line["features"]
        features["weight"], features["fragile"] = features["fragile"], features["weight"]
    return ["fragile", "weight"]


def other_unit(lines: list[Line]) -> list[str]:
    for line in lines:
        weight = line["features"]["weight"]
        line["features"]["weight"] = None if weight is None else weight * 2.20462
    return ["weight"]


def vanished_value(lines: list[Line]) -> list[str]:
    for line in lines:
        line["features"]["depot"] = None
    return ["depot"]


def renamed(lines: list[Line]) -> list[str]:
    """One of the values gets a name that the model does not know."""
    for line in lines:
        if line["features"]["service"] == "day":
            line["features"]["service"] = "by day"
    return ["service"]


def one_value(lines: list[Line]) -> list[str]:
    lines[7]["features"]["depot"] = "south" if lines[7]["features"]["depot"] == "north" else "north"
    return ["depot"]


def text_for_number(lines: list[Line]) -> list[str]:
    lines[7]["features"]["weight"] = "heavy"
    return ["weight"]


@pytest.mark.parametrize("fault", [stale, swapped, other_unit, vanished_value, renamed, one_value, text_for_number])
def test_features_that_differ_are_named(monitored: Monitored, fault: Callable[[list[Line]], list[str]]) -> None:
    expected = fault([line for line in monitored.lines if line["time"].startswith(DAY)])
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW)
    assert status == ALARM, output
    assert sorted(monitored.found("skew")["alarms"]) == expected
    assert f"{len(expected)} of 4 inputs differ" in output


def test_a_share_below_the_parameter_is_no_alarm(monitored: Monitored) -> None:
    one_value(monitored.lines)
    monitored.write(monitored.lines)
    set_parameters(monitored.folder, "monitor", skew_share=0.01)
    assert monitored.run(*SKEW)[0] == 0
    assert monitored.found("skew")["inputs"]["depot"]["share"] == pytest.approx(1 / 300, rel=1e-5)


def test_keys_that_the_graph_does_not_have_and_rows_without_a_key_are_counted(monitored: Monitored) -> None:
    for line in monitored.lines[:10]:
        line["key"] = f"unknown{line['row']}"
    for line in monitored.lines[10:30]:
        del line["key"]
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW)
    assert (status, "270 of 280 rows with a key compared with the graph's; 10 keys are not in the graph" in output) == (
        0,
        True,
    )
    found = monitored.found("skew")
    assert found["examples_not_in_graph"] == [f"unknown{row}" for row in range(4)]


def test_a_feature_that_was_left_out_of_the_log_is_not_compared(monitored: Monitored) -> None:
    for line in monitored.lines:
        del line["features"]["weight"]
    for line in monitored.lines[:50]:
        del line["features"]["depot"]
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW)
    assert status == 0, output
    assert "Not compared, as the log has no values: weight." in output
    inputs = monitored.found("skew")["inputs"]
    assert (inputs["weight"]["compared"], inputs["fragile"]["compared"] > 250) == (0, True)
    assert 200 <= inputs["depot"]["compared"] <= 250


def test_rows_of_every_version_are_compared(monitored: Monitored) -> None:
    for line in monitored.lines[:100]:
        line["model_version"] = "2.0.0"
    monitored.lines[3]["features"]["weight"] = -1.0
    monitored.write(monitored.lines)
    assert monitored.run(*SKEW)[0] == ALARM
    assert monitored.found("skew")["compared"] == 300


def test_a_second_run_gives_the_same_bytes_and_the_metrics_are_prometheus_text(monitored: Monitored) -> None:
    one_value(monitored.lines)
    monitored.write(monitored.lines)
    written = []
    for _ in range(2):
        monitored.run(*SKEW)
        written.append({path: path.read_bytes() for path in (monitored.folder / "monitoring").rglob("*.*")})
    assert written[0] == written[1]
    text = (monitored.folder / "monitoring" / "skew.prom").read_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["ontime_monitor_skew_compared_rows"].samples[0].value == 300
    shares = {one.labels["input"]: one.value for one in families["ontime_monitor_skew_differing_share"].samples}
    assert [name for name in shares if shares[name]] == ["depot"]


def test_a_file_that_was_written_without_the_number_of_features_is_compared(monitored: Monitored) -> None:
    monitored.write(monitored.lines)
    for path in (monitored.folder / "log").rglob("*.parquet"):
        pd.read_parquet(path).drop(columns="features").to_parquet(path)
    status, output = monitored.run(*SKEW)
    assert status == 0, output
    assert "300 of 300 rows" in output


def test_a_day_without_a_key_is_one_line(monitored: Monitored) -> None:
    for line in monitored.lines:
        line.pop("key")
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW)
    assert (status, output) == (1, f"log: no row of {DAY} has a key; callers send it with each row")
    assert not (monitored.folder / "monitoring").exists()


def test_a_graph_that_has_not_run_is_one_line(monitored: Monitored) -> None:
    monitored.write(monitored.lines)
    status, output = monitored.run(*SKEW, "--layout", "none.json")
    assert (status, output.startswith("none.json: not found; run `dvc repro`")) == (1, True)
    status, output = monitored.run(*SKEW, "--features", "model")
    assert (status, output.startswith("model: no parquet file; run `dvc repro`")) == (1, True)
