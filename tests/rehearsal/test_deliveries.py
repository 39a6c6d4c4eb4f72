"""The table of the rehearsal's month is the same every time, and so are the days that are replayed from it."""

import json
from datetime import date

import pandas as pd

from tests.moved_lines import moved
from tests.rehearsal.deliveries import KEY, MOST_ROWS, TARGET, WEATHER, Town, frozen, records_of, served_day, weather
from tests.rehearsal.replay import keys_of

DAY = served_day(3)


def test_a_day_is_the_same_alone_and_with_those_before_it() -> None:
    town = Town(weather())
    alone, every = town.day(DAY), town.until(served_day(4))
    pd.testing.assert_frame_equal(alone, every[every[KEY].isin(alone[KEY])].reset_index(drop=True))
    assert every[KEY].is_unique


def test_other_odds_change_labels_alone_and_from_their_day_on() -> None:
    town = Town(weather())
    other = town.with_odds(1.5, DAY)
    pd.testing.assert_frame_equal(town.day(served_day(2)), other.day(served_day(2)))
    before, after = (pd.concat([one.day(served_day(number)) for number in range(3, 30)]) for one in (town, other))
    pd.testing.assert_frame_equal(before.drop(columns=TARGET), after.drop(columns=TARGET))
    assert (after[TARGET] >= before[TARGET]).all()
    odds = [one[TARGET].mean() / (1 - one[TARGET].mean()) for one in (before, after)]
    assert 1.3 < odds[1] / odds[0] < 1.6


def test_a_frozen_feed_says_what_it_said_before_and_nothing_else_changes() -> None:
    rows = Town(weather()).day(DAY)
    asked = frozen(rows, DAY, weather())
    assert all(asked[name].nunique() == 1 for name in WEATHER)
    pd.testing.assert_frame_equal(rows.drop(columns=[*WEATHER]), asked.drop(columns=[*WEATHER]))
    assert any(record["weight"] is None for record in records_of(asked))
    assert len(asked) <= MOST_ROWS


def test_a_days_lines_are_moved_to_it_and_those_of_others_are_left_out() -> None:
    def line(request_id: str, event: str = "prediction") -> bytes:
        content = {"time": "2030-01-02T03:04:05.678+00:00", "event": event, "request_id": request_id, "key": "a"}
        return json.dumps(content, separators=(",", ":")).encode() + b"\n"

    lines = [line("2024-07-22/a"), line("2024-07-22/a", "request"), line("2024-07-21/a"), line("5f-7"), b"no JSON\n"]
    found = list(moved(lines, date(2024, 7, 22)))
    assert found == [one.replace(b"2030-01-02", b"2024-07-22") for one in lines[:2]]
    assert keys_of(found) == ["a"]
