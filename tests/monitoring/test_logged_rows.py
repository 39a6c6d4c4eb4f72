"""Logged rows become the model's matrix whatever their schema, and a sample is the same however they are divided."""

import numpy as np
import pandas as pd
import pytest

from ontime.encoder import MISSING, UNKNOWN, Encoder
from ontime.monitoring import log_files
from ontime.monitoring.log_files import LogTable, files_of_day
from ontime.monitoring.logged_rows import logged_matrix, missing_values, rank, rows_named, sampled_rows
from tests.monitored import DAY, Monitored

ENCODER = Encoder(("weight", "age"), {"depot": ("north", "south")})


def table_of_day() -> LogTable:
    (file,) = files_of_day("log", DAY)
    return file.read()


def test_values_of_another_type_and_features_of_another_model_are_told() -> None:
    rows = pd.DataFrame(
        {
            "request_id": ["a", "b", "c", "d"],
            "feature_weight": ["1.5", "heavy", None, "7"],
            "feature_depot": [1.0, 2.0, np.nan, 2.0],
            "feature_colour": ["red"] * 4,
        }
    )
    found = logged_matrix(rows, ENCODER)
    expected = [[1.5, np.nan, UNKNOWN], [np.nan, np.nan, UNKNOWN], [np.nan, np.nan, MISSING], [7, np.nan, UNKNOWN]]
    np.testing.assert_array_equal(found.matrix, np.array(expected, dtype=np.float32))
    assert found.other_type.tolist() == [[False, False, True], [True, False, True], [False] * 3, [False, False, True]]
    assert (found.absent, found.foreign) == (["age"], ["colour"])
    assert missing_values(found.matrix, ENCODER)[2].tolist() == [True, True, True]
    assert missing_values(found.matrix, ENCODER)[0].tolist() == [False, True, False]


def test_a_text_is_missing_as_a_whole() -> None:
    encoder = Encoder(("weight",), {"depot": ("north",)}, {"note": {"dry": 1.0, "very damp": 2.0}})
    rows = pd.DataFrame({"feature_weight": [1.0, 1.0], "feature_depot": ["north"] * 2, "feature_note": ["dry", None]})
    found = logged_matrix(rows, encoder)
    assert (found.matrix.shape, found.other_type.shape) == ((2, 5), (2, 3))
    assert missing_values(found.matrix, encoder).tolist() == [[False, False, False], [False, False, True]]


def test_a_feature_that_is_missing_in_all_rows_is_of_its_type() -> None:
    rows = pd.DataFrame({"feature_weight": [1.0], "feature_age": [None], "feature_depot": [np.nan]})
    found = logged_matrix(rows, ENCODER)
    assert (found.other_type.sum(), found.absent) == (0, [])
    np.testing.assert_array_equal(found.matrix, np.array([[1, np.nan, MISSING]], dtype=np.float32))


def test_a_sample_has_the_lowest_ranks_of_its_event_however_the_file_is_divided(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, line in enumerate(monitored.lines):
        line["event"] = "shadow" if place % 3 == 0 else "prediction"
        if place % 2:
            del line["key"]
    monitored.write(monitored.lines)
    of_day = [line for line in monitored.lines if line["time"].startswith(DAY)]
    for with_key in (False, True):
        wanted = [one for one in of_day if one["event"] == "prediction" and ("key" in one or not with_key)]
        names = [(one["time"], one["request_id"], one["row"]) for one in wanted]
        for size in (20_000, 7):
            monkeypatch.setattr(log_files, "BATCH_ROWS", size)
            sample, total = sampled_rows(table_of_day(), "prediction", 20, with_key)
            found = set(zip(sample["time"], sample["request_id"], sample["row"], strict=True))
            assert (total, found) == (len(wanted), set(sorted(names, key=lambda name: rank(*name))[:20]))
            assert sample["time"].tolist() == sorted(sample["time"])
    assert len(sampled_rows(table_of_day(), "prediction", 10_000)[0]) == 200
    assert len(sampled_rows(table_of_day(), "none", 10)[0]) == 0


def test_a_sample_of_a_tenth_misses_thirty_faulty_rows_as_seldom_as_chance_does() -> None:
    days, rows, faulty, missed = 200, 2_000, 30, 0
    for day in range(days):
        ranks = np.array([rank(f"{day}", f"{number}", 0) for number in range(rows)], dtype=np.uint64)
        missed += int(np.sort(ranks)[rows // 10] <= ranks[:faulty].min())
    # 0.9 to the power of 30 is 4 %
    assert 0.01 < missed / days < 0.09


def test_rows_are_found_by_what_names_them_and_a_shadow_is_none(monitored: Monitored) -> None:
    for line in monitored.lines[:2]:
        line["event"] = "shadow"
    monitored.write(monitored.lines)
    names = pd.DataFrame(monitored.lines[:5])[["time", "request_id", "row"]]
    found = rows_named([table_of_day()], names)
    assert set(zip(found["request_id"], found["row"], strict=True)) == {
        (line["request_id"], line["row"]) for line in monitored.lines[2:5]
    }
    assert rows_named([], names).empty
