"""The files of the log, as every reader finds them: one for each model version and day, in a folder or a store."""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontime.common.errors import OntimeError
from ontime.monitoring.store import Store, open_place

if TYPE_CHECKING:
    import pandas as pd

FEATURE = "feature_"
"""How the column of a feature begins."""
IDENTITY = ["time", "request_id", "row", "event"]
"""What no two rows of a model version have in common."""
FILE = "predictions.parquet"
VERSION = r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}"
DAY = r"\d{4}-\d\d-\d\d"
NAME = re.compile(rf"model_version=({VERSION})/day=({DAY})/{re.escape(FILE)}")
BATCH_ROWS = 20_000
"""Rows in memory at once, however many a day has."""
ROW_GROUP = 50_000
"""Rows that are compressed together; a reader holds one such group of one column at least."""
BYTES_AT_ONCE = 2**20


def file_name(version: str, day: str) -> str:
    """The name of a file below the log's address."""
    return f"model_version={version}/day={day}/{FILE}"


@dataclass(frozen=True)
class LogTable:
    """An open file of pyarrow; `where` is its address."""

    where: str
    file: Any

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        found = hashlib.sha256()
        self.file.seek(0)
        while part := self.file.read(BYTES_AT_ONCE):
            found.update(part)
        return found.hexdigest()

    @property
    def columns(self) -> list[str]:
        """Names of its columns.

        Raises:
            OntimeError: it is not a parquet file.
        """
        with self._readable() as table:
            return [str(name) for name in table.schema_arrow.names]

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return sum(len(batch) for batch in self.batches(["row"]))

    def batches(
        self, columns: Sequence[str] | None = None, categorical: Sequence[str] = ()
    ) -> "Iterator[pd.DataFrame]":
        """Its rows in order, `BATCH_ROWS` at once; all columns, or those of the given ones that it has.

        Args:
            categorical: columns whose texts are wanted as a `pandas.Categorical`, which is faster.

        Raises:
            OntimeError: it is not a parquet file.
        """
        with self._readable(categorical) as table:
            known = None if columns is None else [name for name in columns if name in table.schema_arrow.names]
            for batch in table.iter_batches(BATCH_ROWS, columns=known):
                yield batch.to_pandas()

    @contextmanager
    def _readable(self, categorical: Sequence[str] = ()) -> "Iterator[Any]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # else all columns of a row group, which may be a whole day, are in memory at once
            yield pq.ParquetFile(self.file, pre_buffer=False, read_dictionary=list(categorical))
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise OntimeError(f"{self.where}: not a readable parquet file: {reason}") from None


@dataclass(frozen=True)
class LogFile:
    """One file: the predictions of a model version on a day, an ISO 8601 date in UTC."""

    store: Store
    version: str
    day: str

    @property
    def name(self) -> str:
        """Its name below the log's address."""
        return file_name(self.version, self.day)

    @property
    def where(self) -> str:
        """Its address, as a person wrote the log's."""
        return f"{self.store.address}/{self.name}"

    @property
    def place(self) -> Path | str:
        """Where a task finds it, wherever it runs."""
        return self.store.file_place(self.name)

    def read(self) -> LogTable:
        """Open it, as it is now.

        Raises:
            OntimeError: it was removed meanwhile, or the store does not answer.
        """
        return table_at(self.where, self.place)


def table_at(where: str, place: Path | str) -> LogTable:
    """Open a file of the log that was there.

    Raises:
        OntimeError: it is not there any more, or not where this process runs; or its store does not answer.
    """
    opened = open_place(place)
    if opened is None:
        raise OntimeError(f"{where}: was removed while the log was read; run this again")
    return LogTable(where, opened)


def parquet_of(table: Any) -> bytes:
    """Bytes of a file of the log, from a table of pyarrow."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    bare = table.replace_schema_metadata(None)
    pq.write_table(bare, stream, ROW_GROUP, compression="zstd", version="2.6", store_schema=False)
    return stream.getvalue()


def log_files(log: str) -> list[LogFile]:
    """All files of the log at an address, by version and day; what else is there is not looked at."""
    store = Store(log)
    found = [NAME.fullmatch(name) for name in store.names(depth=3)]
    return [LogFile(store, one[1], one[2]) for one in found if one]


def files_by_day(log: str, after: str, last: str) -> dict[str, list[LogFile]]:
    """The log's files of each day between two, oldest first."""
    found: dict[str, list[LogFile]] = {}
    for file in log_files(log):
        if after < file.day <= last:
            found.setdefault(file.day, []).append(file)
    return dict(sorted(found.items()))


def files_of_day(log: str, day: str) -> list[LogFile]:
    """The log's files of a day.

    Raises:
        OntimeError: there is none.
    """
    files = [file for file in log_files(log) if file.day == day]
    if not files:
        raise OntimeError(f"{log}: has no predictions of {day}")
    return files
