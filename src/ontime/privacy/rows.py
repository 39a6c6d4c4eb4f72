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
from ontime.datasets.content import LISTED, fetch, files_of, without_secrets
from ontime.datasets.csv_form import CsvForm
from ontime.datasets.keys import key_text
from ontime.datasets.reader import read_columns, read_untyped
from ontime.datasets.registry import PACKAGES
from ontime.datasets.schema import load_schemas
from ontime.datasets.source import Data
from ontime.monitoring.label_days import FOLDER as DAYS
from ontime.monitoring.label_join import write_used
from ontime.monitoring.log_files import log_files, parquet_of
from ontime.privacy.search import KEY, Search, text_of
from ontime.privacy.settings import Privacy, subject_of
from ontime.privacy.tables import Mask, kept_by, read_bytes, without_rows

SOURCE, LOG, LABELS, MONITORING = "data source", "prediction log", "labels", "monitoring"
TABLES = (SOURCE, LABELS)
"""Places whose files are somebody else's, as people write them."""


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

    @property
    def kept_by(self) -> str | None:
        """Who must remove the rows, where that cannot be done from here."""
        return kept_by(self.name) if self.place in TABLES else None


@dataclass(frozen=True)
class Source:
    """The raw table as `ingest` reads it: the rows of each file, by its path or address."""

    address: str
    files: dict[str, pd.DataFrame]
    subject: str
    key: list[str]
    form: CsvForm | None = None

    def parts(self, names: frozenset[str]) -> Iterator[Part]:
        """Each file, with the rows of the subjects marked."""
        for name, rows in self.files.items():
            mask = np.array([text_of(value) in names for value in rows[self.subject]], dtype=bool)
            yield Part(SOURCE, name, rows, mask, self.form)

    def row_keys(self, name: str) -> set[str]:
        """Keys of a subject's rows."""
        found = [part.found for part in self.parts(frozenset([name])) if part.mask.any()]
        return {text for rows in found for text in key_text(rows, self.key) if text is not None}


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
    places = [str(path) for path in files_of(data.source)] or [data.source]
    tables = [rows for _, _, rows in table.read_tables(data.source, options, load_schemas(paths.SCHEMA))]
    files = dict(zip(places, tables, strict=True))
    for role, names in (("privacy.subject", [subject]), ("data.options.key", options.key)):
        for name in names:
            for place, rows in files.items():
                if name not in rows:
                    raise OntimeError(f"params.yaml: {role}: {without_secrets(place)} has no column {name}")
    return Source(data.source, files, subject, options.key, options.csv)


def queried(source: str) -> bytes:
    """The rows that a query gives, as a parquet file."""
    import pyarrow as pa

    columns = read_columns(fetch(source), f"data.source: {source}").found
    return parquet_of(pa.table(dict(columns)))


def parts_of(privacy: Privacy, source: Source, search: Search) -> Iterator[Part]:
    """Every file with rows, one after another."""
    yield from source.parts(search.names)
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


def content_without(part: Part) -> bytes:
    """The bytes of a file of `TABLES` without somebody's rows.

    Raises:
        OntimeError: it cannot be read, or has other rows than before.
    """
    return without_rows(part.name, read_bytes(part.name), part.mask, part.handle)


def remove_rows(part: Part) -> None:
    """Write a file of the log or of monitoring without somebody's rows; one of the log without any row is removed."""
    if part.place == LOG:
        _rewrite_log(part)
    else:
        write_used(part.handle, part.rows[~part.mask].reset_index(drop=True))


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
