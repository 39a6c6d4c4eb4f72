"""What follows from the days: an incident lasts until its cause is gone, and only clean inputs train a challenger."""

from typing import Any

import pytest

from ontime.common.params import check
from ontime.data_processing.split import Split
from ontime.monitoring.day_files import DayRecord, Found
from ontime.monitoring.decision import challenger_of, incidents_of, is_quarantined, settings_of
from ontime.monitoring.settings import Retraining

RETRAINING = Retraining(every_days=14, pause_days=7, validation_days=31, test_days=14)
SOUND_DAYS = 3


def found(*causes: str) -> list[Found]:
    return [Found(cause=cause, found=2.0, limit=1.0) for cause in causes]


def record(number: int, challenger: Any = None, **checks: list[Found]) -> DayRecord:
    """A day of December on which these checks ran."""
    return DayRecord(
        day=f"2013-12-{number:02d}",
        checks=checks,
        skipped={},
        quarantined=is_quarantined(checks),
        challenger=challenger,
    )


def lasting(days: list[DayRecord]) -> list[tuple[str, str, list[str]]]:
    return [
        (one.check, one.cause, [day for day, _ in one.days]) for one in incidents_of(days, SOUND_DAYS) if not one.over
    ]


def test_an_incident_lasts_over_sound_days_until_there_are_enough_in_a_row() -> None:
    days = [
        record(1, inputs=found("temp")),
        record(2, inputs=[]),
        record(3, inputs=[]),
        record(4, inputs=found("temp", "wind")),
        record(5, inputs=[]),
        record(6, inputs=found("wind")),
        record(7, inputs=[]),
    ]
    expected = ["2013-12-01", "2013-12-04"]
    assert lasting(days[:-1])[0] == ("inputs", "temp", expected)
    temp, wind = incidents_of(days, SOUND_DAYS)
    assert (temp.cause, temp.over, [day for day, _ in temp.days]) == ("temp", "2013-12-07", expected)
    assert (wind.cause, wind.over) == ("wind", None)


def test_a_cause_that_comes_back_is_another_incident() -> None:
    days = [record(1, inputs=found("temp")), *(record(number, inputs=[]) for number in (2, 3, 4))]
    again = [*days, record(5, inputs=found("temp"))]
    assert not lasting(days)
    assert lasting(again) == [("inputs", "temp", ["2013-12-05"])]


def test_a_day_on_which_a_check_did_not_run_is_no_sound_day_of_its_incidents() -> None:
    days = [record(1, inputs=[], replay=found("replay")), *(record(number, inputs=[]) for number in range(2, 9))]
    assert lasting(days) == [("replay", "replay", ["2013-12-01"])]


def test_labels_open_no_incident_and_quarantine_nothing() -> None:
    days = [record(1, inputs=[], labels=found("offset"))]
    assert not incidents_of(days, SOUND_DAYS)
    assert not days[0].quarantined
    assert record(1, skew=found("temp")).quarantined


@pytest.mark.parametrize(
    ("checks", "before", "incident_open", "newest", "reason"),
    [
        ({"inputs": []}, [], False, "2013-12-17", None),
        ({"inputs": []}, [], False, "2013-12-16", "schedule"),
        ({"inputs": []}, [], False, None, None),
        ({"inputs": found("temp")}, [], True, "2013-01-01", None),
        ({"inputs": [], "replay": found("replay")}, [], True, "2013-01-01", None),
        ({"inputs": found("temp"), "labels": found("offset")}, [], True, "2013-01-01", None),
        ({"inputs": [], "labels": found("offset")}, [], False, "2013-12-29", "labels"),
        ({"inputs": [], "labels": found("offset")}, [], True, "2013-12-29", None),
        ({"labels": found("offset")}, [], False, "2013-01-01", None),
        ({"inputs": [], "labels": found("offset")}, [record(24, "schedule", inputs=[])], False, "2013-12-01", None),
        ({"inputs": [], "labels": found("offset")}, [record(23, "labels", inputs=[])], False, None, "labels"),
        ({"inputs": []}, [record(23, "schedule", inputs=[])], True, "2013-12-01", "schedule"),
    ],
    ids=[
        "young",
        "old",
        "unknown age",
        "inputs",
        "replay",
        "inputs and labels",
        "labels",
        "labels while an incident lasts",
        "labels without inputs",
        "asked for six days ago",
        "asked for a week ago",
        "old while an incident lasts",
    ],
)
def test_a_challenger_is_trained_by_schedule_or_labels_and_never_for_what_is_wrong_with_data(
    checks: dict[str, list[Found]], before: list[DayRecord], incident_open: bool, newest: str | None, reason: str | None
) -> None:
    assert challenger_of("2013-12-30", checks, before, incident_open, newest, RETRAINING) == reason


def test_a_challenger_gets_rows_up_to_the_watermark_without_quarantined_days() -> None:
    split = check(
        Split,
        {
            "by": "time",
            "validation_from": "2013-10-01",
            "test_from": "2013-11-01",
            "until": None,
            "excluded_days": ["2013-06-01"],
            "validation_fraction": 0.1,
            "test_fraction": 0.1,
            "seed": 0,
            "folds": 1,
            "min_category_rows": 1,
        },
        "split",
    )
    days = [record(5, inputs=found("temp")), record(6, inputs=[]), record(30, "schedule", inputs=[])]
    assert settings_of(days, split, RETRAINING) == {
        "split.validation_from": "2013-11-16T00:00:00Z",
        "split.test_from": "2013-12-17T00:00:00Z",
        "split.until": "2013-12-31T00:00:00Z",
        "split.excluded_days": ["2013-06-01", "2013-12-05"],
    }
    assert not settings_of(days[:2], split, RETRAINING)
    stratified = settings_of(days, split.model_copy(update={"by": "stratified"}), RETRAINING)
    assert list(stratified) == ["split.until", "split.excluded_days"]
