from itertools import product
from typing import Literal

import pandas as pd
import pytest

from ontime.datasets.keys import key_text

TIME = pd.Timestamp("2013-07-01T10:00:00", tz="UTC")


def test_a_flight_is_named_by_its_hour_carrier_and_number() -> None:
    frame = pd.DataFrame({"time_hour": [TIME], "carrier": ["UA"], "flight": [1545]}, index=[7])
    found = key_text(frame, ["time_hour", "carrier", "flight"])
    assert found.to_dict() == {7: "2013-07-01T10:00:00Z/UA/1545"}


@pytest.mark.parametrize(
    ("unit", "zone"), list(product(("s", "ms", "us", "ns"), ("UTC", "America/New_York", "Asia/Kolkata")))
)
def test_a_time_has_the_same_text_whatever_its_unit_and_its_zone(
    unit: Literal["s", "ms", "us", "ns"], zone: str
) -> None:
    times = pd.Series([TIME]).dt.as_unit(unit).dt.tz_convert(zone)
    assert key_text(pd.DataFrame({"at": times}), ["at"]).tolist() == ["2013-07-01T10:00:00Z"]


def test_a_time_without_a_zone_is_in_utc() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2013-07-01T10:00:00"])})
    assert key_text(frame, ["at"]).tolist() == ["2013-07-01T10:00:00Z"]


def test_times_that_differ_by_less_than_a_second_have_different_texts() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2013-07-01T10:00:00.25Z", "2013-07-01T10:00:00.5Z"])})
    assert key_text(frame, ["at"]).tolist() == ["2013-07-01T10:00:00.250000Z", "2013-07-01T10:00:00.500000Z"]


def test_a_number_of_the_file_is_a_key_too() -> None:
    assert key_text(pd.DataFrame({"row": [0, 1]}), ["row"]).tolist() == ["0", "1"]


def test_a_row_that_lacks_a_part_of_its_key_has_none() -> None:
    frame = pd.DataFrame({"at": [TIME, pd.NaT, TIME], "name": ["a", "b", None]})
    assert key_text(frame, ["at", "name"]).tolist() == ["2013-07-01T10:00:00Z/a", None, None]


def test_no_rows_have_no_keys() -> None:
    frame = pd.DataFrame({"row": pd.Series([], dtype="int64")})
    assert key_text(frame, ["row"]).tolist() == []
