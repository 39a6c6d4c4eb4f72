"""Which groups of rows are shown: none so small that its figures are those of a person."""

import pandas as pd

from ontime.common.params import Count, Section

EQUALS = "="
"""Between the column and the value of a slice's name."""


class Publish(Section):
    """What is shown of groups of rows: a slice of fewer than `slice_rows` rows is not (k-anonymity)."""

    slice_rows: Count


def large_slices(table: pd.DataFrame, slices: list[str], least: int) -> pd.DataFrame:
    """The slices of at least so many rows.

    Where one slice of a column is left out, so is the next smallest, because the first would follow from the total.

    Args:
        table: as `by_slice` makes it, with `slice` (such as `origin=JFK`) and `rows`.
    """
    left_out: list[int] = []
    for column in slices:
        of_column = table[table["slice"].str.startswith(f"{column}{EQUALS}")].sort_values("rows", kind="stable")
        small = int((of_column["rows"] < least).sum())
        if small:
            left_out += list(of_column.index[: max(small, 2)])
    return table.drop(index=left_out)
