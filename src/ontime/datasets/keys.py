"""One text that names a row: in the service's log, in the labels that come later, and in the rows of the graph."""

from typing import Any

import numpy as np
import pandas as pd

SEPARATOR = "/"


def key_text(frame: pd.DataFrame, key_columns: list[str]) -> "pd.Series[Any]":
    """Key of each row: the values of its key columns joined by `/`, as in `2013-07-01T10:00:00Z/UA/1545`.

    A time is written in UTC, as ISO 8601 with `Z`, with a fraction of a second only if it has one; everything else is
    what `str` makes of it. A row that lacks one of the values has no key.

    Args:
        frame: rows with the key columns.

    Returns:
        Text or missing, by row, with the frame's index: (rows,).
    """
    texts = [_texts(frame[name]) for name in key_columns]
    joined = texts[0]
    for text in texts[1:]:
        joined = joined + SEPARATOR + text
    known = frame[key_columns].notna().all(axis=1)
    return joined.astype(object).where(known, None)


def _texts(values: "pd.Series[Any]") -> "pd.Series[Any]":
    is_time = pd.api.types.is_datetime64_any_dtype(values)
    # each value is written once, as keys repeat their parts
    codes, uniques = pd.factorize(values)
    written = np.array([_time(value) if is_time else str(value) for value in uniques] + [""], dtype=object)
    return pd.Series(written[codes], index=values.index, dtype=object)


def _time(value: pd.Timestamp) -> str:
    utc = value.tz_localize("UTC") if value.tzinfo is None else value.tz_convert("UTC")
    return utc.isoformat().removesuffix("+00:00") + "Z"
