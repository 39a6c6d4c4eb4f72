"""Labels from where they are kept: a file, an object store, a web server, or a query of a database.

Whatever the source, it has the columns `key` and `target` (0, 1, a class's name or a number, or missing), and may have
`known_at`, since when a label is known. Its rows may be in any order, and more than one for a key.
"""

from typing import Any

import pandas as pd

from ontime.common.errors import OntimeError, one_line
from ontime.common.layout import KNOWN_AT, TARGET
from ontime.datasets.content import LISTED
from ontime.datasets.query import database_url
from ontime.datasets.reader import read_untyped
from ontime.monitoring.label_kinds import Labels
from ontime.monitoring.label_table import KEY

OPTION = "--labels"


def read_labels(address: str, query: str | None, kind: Labels) -> pd.DataFrame:
    """Labels by key.

    Args:
        address: a CSV or parquet file, by a path or any address that fsspec knows; with a query, the address
            of a database as SQLAlchemy writes it, such as sqlite:///labels.db.
        query: what the database is asked, in SQL.
        kind: what a label is.

    Returns:
        `key` (text), `target` (of the kind's type, of a class its number; or missing) and `known_at` (UTC, missing
        where it is not known); rows without key are left out.

    Raises:
        OntimeError: it cannot be read, or a column is absent or has other values.
    """
    if query is None:
        where = f"{OPTION}: {address}"
        rows = read_untyped(address, OPTION, f"not a {LISTED} file", texts=[KEY, *([TARGET] if kind.as_text else [])])
    else:
        where, rows = _queried(address, query)
    for name in (KEY, TARGET):
        if name not in rows:
            raise OntimeError(f"{where}: no column {name}; it has {', '.join(map(str, rows.columns[:5]))}")
    rows = rows[rows[KEY].notna()].reset_index(drop=True)
    target = kind.checked(rows[TARGET], f"{where}: {TARGET}")
    return pd.DataFrame({KEY: _keys(rows[KEY], where), TARGET: target, KNOWN_AT: _times(rows, where)})


def _queried(address: str, query: str) -> tuple[str, pd.DataFrame]:
    """What to call a database in errors, without its password, and the rows that it answers."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    shown = OPTION
    try:
        url = database_url(address)
        shown = f"{OPTION}: {url.render_as_string(hide_password=True)}"
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                found = connection.execute(sqlalchemy.text(query))
                return shown, pd.DataFrame(found.mappings().all(), columns=list(found.keys()))
        finally:
            engine.dispose()
    except ImportError as error:
        raise OntimeError(f"{shown}: its driver is not installed: {error}") from None
    except SQLAlchemyError as error:
        # what the driver says, without the statement and the page about it
        reason = getattr(error, "orig", None) or error
        raise OntimeError(f"{shown}: {one_line(reason, 200)}") from None


def _keys(values: "pd.Series[Any]", where: str) -> "pd.Series[Any]":
    if pd.api.types.is_integer_dtype(values):
        return values.astype("str")
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise OntimeError(f"{where}: {KEY}: expected texts or whole numbers, found {wrong[0]!r:.40}")
    return values.astype("str")


def _times(rows: pd.DataFrame, where: str) -> "pd.Series[Any]":
    if KNOWN_AT not in rows or rows[KNOWN_AT].isna().all():
        return pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    times = parse_times(rows[KNOWN_AT])
    if not pd.api.types.is_datetime64_any_dtype(times):
        raise OntimeError(f"{where}: {KNOWN_AT}: expected times such as 2013-07-01T10:00:00Z")
    return times.astype("datetime64[us, UTC]")


def parse_times(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Times as UTC to the microsecond; values that are none leave the column as it was."""
    is_time = pd.api.types.is_datetime64_any_dtype(values)
    try:
        return pd.to_datetime(values, utc=True, format=None if is_time else "ISO8601").dt.as_unit("us")
    except (ValueError, TypeError):
        return values
