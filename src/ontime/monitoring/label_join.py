"""Which label counts for a key: the newest that was known by a day's watermark, whatever order labels come in.

What was used for a day is kept with its keys, so that a label that says something else later is noticed, and so that a
file of labels need not have those of earlier days.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from ontime.common.files import read_parquet, write_parquet
from ontime.common.layout import KNOWN_AT, TARGET
from ontime.monitoring.label_table import KEY

CONTRADICTED, LATE = "contradicted", "late"
NEWER = "newer"
COLUMNS = [KEY, TARGET, KNOWN_AT, CONTRADICTED, LATE]
"""Of the labels that were used for a day, and of a day's keys without label."""


def watermark(day: str, hours: float) -> pd.Timestamp:
    """When the labels of an ISO 8601 day are taken as known, so many hours after its end."""
    return pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1) + pd.Timedelta(hours=hours)


def used_labels(
    keys: "pd.Series[Any]", labels: pd.DataFrame, until: pd.Timestamp, kept: pd.DataFrame | None
) -> pd.DataFrame:
    """The label of each key, sorted by key.

    Of several labels the one with the latest `known_at` counts, and any before one without; then new ones before those
    that were kept; then the largest, such as the event.

    Args:
        keys: of the served rows; labels: as `read_labels` returns them.
        until: labels that were known later are late and do not count.
        kept: what an earlier run used for the day, which may have keys of other rows.

    Returns:
        `key`, `target` (missing where none counts), `known_at`, `contradicted` (labels said different things, now or
        in an earlier run) and `late` (only later ones are there), also of the keys that were kept.
    """
    dtype = labels[TARGET].dtype
    kept = typed(pd.DataFrame(columns=COLUMNS) if kept is None else kept, dtype)
    every = pd.Index(pd.concat([keys.astype("str"), kept[KEY]])).unique().sort_values()
    known = labels[labels[KEY].isin(every) & labels[TARGET].notna()].assign(**{CONTRADICTED: False, NEWER: 1})
    too_late = known[KNOWN_AT] > until
    late = set(known.loc[too_late, KEY])
    earlier = kept[kept[TARGET].notna() & ~(kept[KNOWN_AT] > until)].assign(**{NEWER: 0})
    told = pd.concat([earlier, known[~too_late]], ignore_index=True)
    told = told.sort_values([KNOWN_AT, NEWER, TARGET], na_position="first", kind="stable")
    by_key = told.groupby(KEY)
    contradicted = (by_key[TARGET].nunique() > 1) | by_key[CONTRADICTED].any()
    newest = told.drop_duplicates(KEY, keep="last").set_index(KEY).reindex(every)
    found = pd.DataFrame(
        {
            KEY: every,
            TARGET: newest[TARGET].to_numpy(),
            KNOWN_AT: newest[KNOWN_AT].to_numpy(),
            CONTRADICTED: contradicted.reindex(every, fill_value=False).to_numpy(),
            LATE: newest[TARGET].isna().to_numpy() & every.isin(late),
        }
    )
    return typed(found, dtype)


def read_used(path: Path, dtype: Any) -> pd.DataFrame | None:
    """What an earlier run used for a day, with labels of a type; None if there was none."""
    return typed(read_parquet(path), dtype) if path.is_file() else None


def write_used(path: Path, used: pd.DataFrame) -> None:
    """Keep what was used for a day."""
    write_parquet(used, path)


def typed(rows: pd.DataFrame, dtype: Any) -> pd.DataFrame:
    """What was used for a day, with the types that it is kept in; `dtype` is that of labels."""
    times = pd.to_datetime(rows[KNOWN_AT], utc=True).astype("datetime64[us, UTC]")
    types = {KEY: "str", TARGET: dtype, CONTRADICTED: "bool", LATE: "bool"}
    return rows[COLUMNS].astype(types).assign(**{KNOWN_AT: times}).reset_index(drop=True)
