"""The rows of a SQL query, through SQLAlchemy: the query in a `.sql` file, the database by its address.

The address holds a password, so it is in no file: it is the environment variable `ONTIME_DATABASE`.
"""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.rows import Rows, as_text

VARIABLE = "ONTIME_DATABASE"
BUFFERED_ROWS = 10_000
EXAMPLES = "postgresql://USER:PASSWORD@HOST/DATABASE, or sqlite:///FILE"


def run_query(text: str) -> tuple[Rows, str]:
    """The rows of a query, in an order that is the query's to say, and the SHA-256 of names and values in hexadecimal.

    Nothing that it may change in the database stays.

    Raises:
        OntimeError: no address, no driver for it, not reachable, or the database refuses the query.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        raise OntimeError(f"set the address of its database in the environment variable {VARIABLE}: {EXAMPLES}")
    try:
        import sqlalchemy
    except ImportError:
        raise OntimeError("a query needs the package sqlalchemy: `make setup-tables`") from None
    try:
        url = database_url(address)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    except ModuleNotFoundError as error:
        raise OntimeError(
            f"{VARIABLE}: its driver, the package {error.name}, is missing: `make setup-tables`"
        ) from None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise OntimeError(f"{VARIABLE}: not the address of a database, as {EXAMPLES}") from None
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and not Path(url.database or "").is_file():
        raise OntimeError(f"{VARIABLE}: {url.database}: no such file")
    try:
        # a connection that is closed without a commit is rolled back
        with engine.connect() as connection:
            if is_sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
            # without parameters, so that a percent sign is one
            options = {"stream_results": True, "max_row_buffer": BUFFERED_ROWS, "no_parameters": True}
            return _read(connection.exec_driver_sql(text, execution_options=options))
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        for secret in filter(None, (address, url.password)):
            reason = reason.replace(secret, "…")
        shown = sqlalchemy.URL.create(url.get_backend_name(), None, None, url.host, url.port, url.database)
        raise OntimeError(f"{shown}: {one_line(ValueError(reason), 300)}") from None


def database_url(address: str) -> Any:
    """SQLAlchemy's URL of an address, with the driver for PostgreSQL that `make setup-tables` installs.

    Raises:
        sqlalchemy.exc.ArgumentError: it is none.
    """
    import sqlalchemy

    url = sqlalchemy.make_url(address)
    is_postgresql = url.drivername in ("postgres", "postgresql")
    return url.set(drivername="postgresql+psycopg2") if is_postgresql else url


def _read(result: Any) -> tuple[Rows, str]:
    if not result.returns_rows:
        raise OntimeError("the query returns no rows; it must be one SELECT")
    names = list(result.keys())
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OntimeError(f"the query returns two columns {twice[0]}; name each with AS")
    rows, digest = Rows(), hashlib.sha256(json.dumps(names).encode())
    for values in result:
        row = dict(zip(names, values, strict=True))
        digest.update(json.dumps([_written(value) for value in values]).encode())
        rows.add(row)
    for name, kind in rows.nested.items():
        raise OntimeError(f"{name}: {kind} is not a type that a table may have; leave it out of the query")
    return rows, digest.hexdigest()


def _written(value: Any) -> str | None:
    return None if value is None else as_text(value)
