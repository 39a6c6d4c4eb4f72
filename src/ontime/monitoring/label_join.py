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
TYPES = {KEY: "str", TARGET: "Int8", KNOWN_AT: "datetime64[us, UTC]", CONTRADICTED: "bool", LATE: "bool"}
"""Columns of the labels that were used for a day, and of a day's keys without label."""


def watermark(day: str, hours: float) -> pd.Timestamp:
    """When the labels of an ISO 8601 day are taken as known, so many hours after its end."""
    return pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1) + pd.Timedelta(hours=hours)


def used_labels(
    keys: "pd.Series[Any]", labels: pd.DataFrame, until: pd.Timestamp, kept: pd.DataFrame | None
) -> pd.DataFrame:
    """The label of each key, sorted by key.

    Of several labels the one with the latest `known_at` counts, and any before one without; then new ones before those
    that were kept; then the event.

    Args:
        keys: of the served rows; labels: as `read_labels` returns them.
        until: labels that were known later are late and do not count.
        kept: what an earlier run used for the day, which may have keys of other rows.

    Returns:
        `key`, `target` (missing where none counts), `known_at`, `contradicted` (labels said both, now or in an earlier
        run) and `late` (only later ones are there), also of the keys that were kept.
    """
    kept = _typed(pd.DataFrame(columns=list(TYPES)) if kept is None else kept)
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
    return _typed(found)


def read_used(path: Path) -> pd.DataFrame | None:
    """What an earlier run used for a day; None if there was none."""
    return _typed(read_parquet(path)) if path.is_file() else None


def write_used(path: Path, used: pd.DataFrame) -> None:
    """Keep what was used for a day."""
    write_parquet(used, path)


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    times = pd.to_datetime(rows[KNOWN_AT], utc=True)
    return rows[list(TYPES)].assign(**{KNOWN_AT: times}).astype(TYPES).reset_index(drop=True)
