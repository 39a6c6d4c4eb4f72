"""Whether bytes have somebody in them, whatever file they are: tables by column, everything else by its text.

Parquet, CSV of any delimiter, JSON lines, gzip and zip are read; JSON, text and other bytes are searched for the name
as a whole word. A name that is only digits counts in the columns (or JSON keys) that name a subject or a row, because
numbers are everywhere.
"""

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.datasets.csv_form import HEAD_BYTES, find_encoding, find_separators
from ontime.datasets.keys import SEPARATOR, key_text

KEY = "key"
"""Column of logs and labels with the key of a row."""
FEATURE = "feature_"
LEAST_BINARY = 6
"""Bytes of a name that is searched in what is no text, where a shorter one would be found by chance."""
DEEPEST = 3
"""Archives in archives."""


def _no_row(key: str) -> bool:
    del key
    return False


@dataclass(frozen=True)
class Search:
    """What to look for: `names` of subjects, in the column `subject`, and rows of theirs by their keys.

    `is_row` says whether a key of a row is one of theirs.
    """

    names: frozenset[str]
    subject: str
    key_columns: Sequence[str]
    is_row: Callable[[str], bool] = field(default=_no_row)

    def rows_of(self, frame: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which rows of a table are of a subject, by the columns that name a subject or a row: (rows,)."""
        found = np.zeros(len(frame), dtype=bool)
        for column in (self.subject, f"{FEATURE}{self.subject}"):
            if column in frame:
                found |= self._among(frame[column], lambda text: text in self.names)
        if KEY in frame:
            found |= self._among(frame[KEY], self.is_key)
        if self.key_columns and set(self.key_columns) <= set(frame.columns):
            found |= self._among(key_text(frame, list(self.key_columns)), self.is_key)
        return found

    def is_in(self, frame: pd.DataFrame) -> bool:
        """Whether a table has rows of a subject, or a text that names one in any column."""
        if self.rows_of(frame).any():
            return True
        texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
        return any(self._among(frame[name], self._in_text).any() for name in texts)

    def is_key(self, text: str) -> bool:
        """Whether the key of a row is of a subject's row."""
        if self.subject in self.key_columns:
            parts = text.split(SEPARATOR)
            place = list(self.key_columns).index(self.subject)
            if len(parts) == len(self.key_columns) and parts[place] in self.names:
                return True
        return self.is_row(text)

    def found_in(self, content: bytes, depth: int = 0) -> bool:
        """Whether bytes have a subject in them."""
        if depth > DEEPEST:
            return self._in_bytes(content)
        if content[:4] == b"PAR1" and content[-4:] == b"PAR1":
            return self._in_parquet(content)
        if content[:2] == b"\x1f\x8b":
            try:
                return self.found_in(gzip.decompress(content), depth + 1)
            except (OSError, EOFError, zlib.error):
                return self._in_bytes(content)
        if content[:4] == b"PK\x03\x04":
            try:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    return any(self.found_in(archive.read(name), depth + 1) for name in archive.namelist())
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error):
                return self._in_bytes(content)
        text = _in_utf8(content)
        if text is not content and self._in_bytes(text):
            return True
        return self._in_bytes(content) or self._in_json_lines(text) or self._in_csv(text)

    def _in_parquet(self, content: bytes) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(io.BytesIO(content))
            return any(self.is_in(batch.to_pandas()) for batch in table.iter_batches())
        except (pa.ArrowInvalid, OSError):
            return self._in_bytes(content)

    def _in_json_lines(self, content: bytes) -> bool:
        """Whether objects, one a line, are rows of a subject; lines that are no objects are not looked at."""
        if content.lstrip()[:1] != b"{" or not self._named_in(content):
            return False
        rows = []
        for line in content.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                rows.append({name: row[name] for name in self._columns & row.keys() if np.isscalar(row[name])})
        return bool(rows) and bool(self.rows_of(pd.DataFrame(rows)).any())

    def _in_csv(self, content: bytes) -> bool:
        """Whether a table of text has rows of a subject; what is no such table has none."""
        head = content.partition(b"\n")[0]
        if not self._named_in(head) or head.lstrip()[:1] == b"{":
            return False
        delimiter, quote = find_separators(content[:HEAD_BYTES].decode(errors="replace"))
        try:
            frame = pd.read_csv(
                io.BytesIO(content),
                sep=delimiter,
                quotechar=quote,
                dtype="str",
                keep_default_na=False,
                encoding="latin-1",
            )
        except ValueError:
            return False
        return bool(self.rows_of(frame).any())

    def _named_in(self, content: bytes) -> bool:
        """Whether bytes have the name of a column by which rows are told."""
        return any(name.encode() in content for name in self._columns)

    @cached_property
    def _columns(self) -> set[str]:
        return {self.subject, f"{FEATURE}{self.subject}", KEY, *self.key_columns}

    def _in_bytes(self, content: bytes) -> bool:
        if self._as_json is not None and self._as_json.search(content):
            return True
        if self._words is None:
            return False
        return any(len(found[0]) >= LEAST_BINARY or _is_text(content) for found in self._words.finditer(content))

    def _in_text(self, text: str) -> bool:
        return self._words is not None and self._words.search(text.encode()) is not None

    @staticmethod
    def _among(values: "pd.Series[Any]", test: Callable[[str], bool]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        codes, uniques = pd.factorize(values)
        # the last entry is that of missing values, whose code is -1
        hits = np.array([test(text_of(value)) for value in uniques] + [False], dtype=bool)
        return hits[codes]

    @cached_property
    def _words(self) -> "re.Pattern[bytes] | None":
        words = [re.escape(name.encode()) for name in sorted(self.names) if not name.isdigit()]
        return re.compile(rb"(?<![\w-])(?:" + b"|".join(words) + rb")(?![\w-])") if words else None

    @cached_property
    def _as_json(self) -> "re.Pattern[bytes] | None":
        names = b"|".join(re.escape(name.encode()) for name in sorted(self.names))
        key = re.escape(self.subject.encode())
        return re.compile(rb'"(?:feature_)?' + key + rb'"\s*:\s*"?(?:' + names + rb')"?(?![\w-])') if names else None


def text_of(value: Any) -> str:
    """A value as a person writes it: a whole number without a fraction."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _in_utf8(content: bytes) -> bytes:
    """A text of another encoding in UTF-8; anything else as it is."""
    try:
        encoding = find_encoding(content)
    except OntimeError:
        return content
    return content if encoding == "utf-8" else content.decode(encoding, errors="replace").encode()


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def names_of(keys: Collection[str]) -> frozenset[str]:
    """The subjects' names as they are searched."""
    return frozenset(key.strip() for key in keys if key.strip())
