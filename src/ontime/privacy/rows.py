"""Somebody's rows in what is used now: the raw table, the prediction log, labels, and what monitoring kept of them.

Each place yields its rows with somebody's among them marked, so that showing and removing look at the same.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import listed, read_parquet
from ontime.common.params import check, load_section
from ontime.datasets import table
from ontime.datasets.content import LISTED
from ontime.datasets.keys import key_text
from ontime.datasets.reader import read_untyped
from ontime.datasets.registry import PACKAGES
from ontime.datasets.schema import load_schemas
from ontime.datasets.source import Data
from ontime.monitoring.label_days import FOLDER as DAYS
from ontime.monitoring.label_join import write_used
from ontime.monitoring.log_files import log_files, parquet_of
from ontime.privacy.search import KEY, Search, text_of
from ontime.privacy.settings import Privacy, subject_of
from ontime.privacy.tables import Mask, check_writable, read_bytes, without_rows, write_bytes
from ontime.repository.lock_file import is_import

SOURCE, LOG, LABELS, MONITORING = "data source", "prediction log", "labels", "monitoring"


@dataclass(frozen=True)
class Part:
    """One file of a place: its rows, which of them are somebody's, and how to write it without them."""

    place: str
    name: str
    rows: pd.DataFrame
    mask: Mask
    handle: Any = None

    @property
    def found(self) -> pd.DataFrame:
        """The rows that are somebody's."""
        return self.rows[self.mask]


@dataclass(frozen=True)
class Source:
    """The raw table as `ingest` reads it."""

    address: str
    rows: pd.DataFrame
    subject: str
    key: list[str]

    def mask(self, names: frozenset[str]) -> Mask:
        """Which rows are of the subjects."""
        return np.array([text_of(value) in names for value in self.rows[self.subject]], dtype=bool)

    def row_keys(self, name: str) -> set[str]:
        """Keys of a subject's rows."""
        rows = self.rows[self.mask(frozenset([name]))]
        return {text for text in key_text(rows, self.key) if text is not None} if len(rows) else set()


def load_source(privacy: Privacy) -> Source:
    """Read the raw table.

    Raises:
        OntimeError: it has no column that names a subject, or no key that names its rows.
    """
    subject = subject_of(privacy)
    data = load_section("data", Data)
    if data.source in PACKAGES:
        raise OntimeError(f"params.yaml: privacy.subject: {data.source} is a published package; leave it empty")
    options = check(table.Options, data.options, "params.yaml: data.options")
    if not options.key:
        raise OntimeError("params.yaml: data.options.key: needed to find a person's rows in the log; name the columns")
    ((_, _, rows),) = table.read_tables(data.source, options, load_schemas(paths.SCHEMA))
    for role, names in (("privacy.subject", [subject]), ("data.options.key", options.key)):
        for name in names:
            if name not in rows:
                raise OntimeError(f"params.yaml: {role}: {data.source} has no column {name}")
    return Source(data.source, rows, subject, options.key)


def parts_of(privacy: Privacy, source: Source, search: Search) -> Iterator[Part]:
    """Every file with rows, one after another."""
    yield Part(SOURCE, source.address, source.rows, source.mask(search.names))
    if privacy.log:
        for file in log_files(privacy.log):
            opened = file.read()
            rows = pd.concat([pd.DataFrame(columns=opened.columns), *opened.batches()], ignore_index=True)
            yield Part(LOG, file.name, rows, search.rows_of(rows), file)
    if privacy.labels:
        rows = read_untyped(privacy.labels, "privacy.labels", f"not a {LISTED} file", texts=[KEY])
        yield Part(LABELS, privacy.labels, rows, search.rows_of(rows))
    for path in listed(Path(privacy.monitoring) / DAYS, "*.parquet") if privacy.monitoring else []:
        rows = read_parquet(path)
        yield Part(MONITORING, str(path), rows, search.rows_of(rows), path)


def check_all_writable(privacy: Privacy, source: Source) -> None:
    """Refuse before anything is changed."""
    check_writable(source.address, "data.source")
    tracked_by = Path(f"{source.address}.dvc")
    if tracked_by.is_file() and is_import(tracked_by):
        raise OntimeError(f"{tracked_by}: imported from elsewhere; forget the person there, then run `ontime refresh`")
    if privacy.labels:
        check_writable(privacy.labels, "privacy.labels")


def remove_rows(part: Part) -> None:
    """Write a file without somebody's rows; a file of the log without any row is removed."""
    if part.place == LOG:
        _rewrite_log(part)
    elif part.place == MONITORING:
        write_used(part.handle, part.rows[~part.mask].reset_index(drop=True))
    else:
        write_bytes(part.name, without_rows(part.name.split("?")[0], read_bytes(part.name), part.mask))


def _rewrite_log(part: Part) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    store = part.handle.store
    if part.mask.all():
        store.remove(part.handle.name)
        return
    content = store.read(part.handle.name)
    kept = pq.read_table(io.BytesIO(content)).filter(pa.array(~part.mask))
    store.write(part.handle.name, parquet_of(kept))
