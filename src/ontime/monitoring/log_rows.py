"""Rows of the log's files: each once, in order, with the same types whatever order they come in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontime.monitoring.log_files import FEATURE, IDENTITY, parquet_of, table_at

if TYPE_CHECKING:
    import pandas as pd

ANSWERS = ["probability", "decision", "prediction"]
"""Columns of which a file has those that its model answers."""
COLUMNS = ["time", "request_id", "row", "event", "key", "model", *ANSWERS, "features"]
"""Columns before the features, whose names begin with `FEATURE`; `features` is how many of them the line had."""


@dataclass(frozen=True)
class Merged:
    """A file of the log with more rows: its bytes, or None if it had them all already.

    `repeated` counts the rows that were there more than once, `missing` those that are missing from requests of which
    others are there.
    """

    content: bytes | None
    repeated: int
    missing: int


def part_of(rows: list[dict[str, Any]]) -> tuple[bytes, int]:
    """Rows of one partition as a file of the log, and how many of them were there more than once."""
    import pandas as pd

    once = _each_once([pd.DataFrame(rows)])
    return _content(once), len(rows) - len(once)


def merged_file(where: str, known: Path | str | None, *parts: Path) -> Merged:
    """Add parts to a file of the log.

    Args:
        where: its address, for errors.
        known: where it is, None if there is none yet.

    Raises:
        OntimeError: it is not there any more, or is no parquet file.
    """
    old = [] if known is None else list(table_at(where, known).batches())
    new = [batch for part in parts for batch in table_at(where, part).batches()]
    once = _each_once([*old, *new])
    repeated = sum(map(len, old)) + sum(map(len, new)) - len(once)
    if repeated == sum(map(len, new)):
        return Merged(None, repeated, 0)
    by_request = once.groupby(["time", "request_id", "event"], sort=False)["row"]
    return Merged(_content(once), repeated, int((by_request.max() + 1 - by_request.size()).sum()))


def _each_once(frames: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    """Rows by what no two have in common; of several that have it, the first."""
    import pandas as pd

    every = pd.concat(frames, ignore_index=True)
    return every.drop_duplicates(IDENTITY).sort_values(IDENTITY, ignore_index=True)


def _content(rows: "pd.DataFrame") -> bytes:
    import pyarrow as pa

    return parquet_of(pa.Table.from_pandas(_typed(rows), preserve_index=False))


def _typed(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Features in the order of their names; a number everywhere is a number, else all its values are text."""
    features = sorted(name for name in rows.columns if name.startswith(FEATURE))
    # a file of an earlier version may lack a column
    columns = [name for name in COLUMNS if name not in ANSWERS or name in rows]
    typed = rows.reindex(columns=[*columns, *features])
    typed["key"] = typed["key"].astype("str")
    typed["features"] = typed["features"].astype("Int64")
    for name in features:
        values = [None if value is None or value != value else value for value in typed[name]]
        if any(isinstance(value, str) for value in values):
            typed[name] = [None if v is None else v if isinstance(v, str) else str(float(v)) for v in values]
        else:
            typed[name] = [float("nan") if value is None else float(value) for value in values]
    return typed
