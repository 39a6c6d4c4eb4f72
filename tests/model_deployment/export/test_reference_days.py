"""The reference counts every row before the test, labelled or not, on the day when it was asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.arrays import Matrix, Probability
from ontime.common.files import partitions, read_json, read_parquet
from ontime.common.layout import Layout
from ontime.common.params import load_section
from ontime.data_processing.split import Split
from ontime.encoder import MISSING
from ontime.model_deployment.export.reference import REFERENCE, WINDOW_DAYS, read_reference
from ontime.model_deployment.export.reference_days import reference_of
from ontime.model_training.rows import load_encoder
from ontime.tasks.binary import Binary


def test_the_rows_of_each_day_are_counted(fork: Path) -> None:
    reference = read_reference(fork / paths.CHAMPION / REFERENCE)
    rows = pd.concat(
        [read_parquet(fork / paths.FEATURES / f"{name}.parquet") for name in partitions(fork / paths.FEATURES)]
    )
    first_test = pd.read_parquet(fork / paths.split_rows("test"))["sent"].min()
    rows = rows[rows["sent"] < first_test]
    assert rows["target"].isna().any()
    by_day = rows.groupby(rows["sent"].dt.strftime("%Y-%m-%d"))
    assert list(reference.days) == [*by_day.groups][1:-1][-WINDOW_DAYS:]
    bins, vocabulary = reference.bins, read_json(fork / paths.CHAMPION / "vocabulary.json")
    assert bins.features == [*vocabulary["numbers"], *vocabulary["categories"]]
    for day, counts in reference.days.items():
        table = by_day.get_group(day)
        by_column = dict(zip(bins.features, [counts[start:] for start in bins.starts], strict=False))
        missing = len(bins.numbers["weight"]) + 1
        assert by_column["weight"][missing] == table["weight"].isna().sum()
        assert by_column["depot"][MISSING] == table["depot"].isna().sum()
        assert counts[bins.starts[-1] :].sum() == len(table)


def test_a_row_counts_on_the_day_when_it_is_asked_which_may_be_before_its_own(
    fork: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork)
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))

    def rows_by_day(hours: int) -> dict[str, int]:
        def predict(matrix: Matrix) -> Probability:
            return np.linspace(0, 1, len(matrix))

        found = reference_of(load_encoder(), predict, layout, load_section("split", Split), 60 * hours, Binary())
        assert found
        return {day: int(counts[: found.bins.sizes[0]].sum()) for day, counts in found.days.items()}

    same, earlier = rows_by_day(0), rows_by_day(24)
    assert {str(pd.Timestamp(day).date() - pd.Timedelta(days=1)): rows for day, rows in same.items()} == earlier


def test_days_that_the_split_leaves_out_are_not_counted(fork: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fork)
    layout, split = Layout(**read_json(paths.FEATURE_LAYOUT)), load_section("split", Split)

    def days(**changes: object) -> list[str]:
        found = reference_of(
            load_encoder(),
            lambda matrix: np.full(len(matrix), 0.5),
            layout,
            split.model_copy(update=changes),
            0,
            Binary(),
        )
        assert found
        return [*found.days]

    whole = days()
    assert [day for day in whole if day not in days(excluded_days=[whole[5]])] == [whole[5]]
    assert days(until=f"{whole[-1]}T00:00:00Z")[-1] < whole[-2]
