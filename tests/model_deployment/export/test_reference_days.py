"""The reference counts every training and validation row, on its day, with the champion's own probability."""

from pathlib import Path

import pandas as pd

from ontime.common import paths
from ontime.common.files import read_json
from ontime.encoder import MISSING
from ontime.model_deployment.export.reference import REFERENCE, WINDOW_DAYS, read_reference


def test_the_rows_of_each_day_are_counted(fork: Path) -> None:
    reference = read_reference(fork / paths.CHAMPION / REFERENCE)
    rows = pd.concat([pd.read_parquet(fork / paths.split_rows(part)) for part in ("train", "validation")])
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
