"""A file of rows without some of them; every other byte of a text stays as it is.

What only its owner can change is told by `kept_by`: a web server's file, a query's database, a workbook, an import.
"""

import codecs
import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import replacing
from ontime.datasets.content import TEXTS, ending_of, file_name
from ontime.datasets.csv_form import CsvForm, decoded, find_encoding, find_separators
from ontime.repository.lock_file import is_import

Mask = npt.NDArray[np.bool_]
JSON_LINES = (".jsonl", ".ndjson")
BYTE_ORDERS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def kept_by(address: str) -> str | None:
    """Who must remove rows of a table that cannot be replaced from here, and what is done then; None of any other."""
    if address.startswith(("http://", "https://")):
        return "a web server's file; have its owner remove them there"
    if address.endswith(".sql"):
        return "a query; delete them in its database"
    if address.endswith(".xlsx"):
        return "a workbook; delete them in a spreadsheet program"
    tracked_by = Path(f"{address}.dvc")
    if tracked_by.is_file() and is_import(tracked_by):
        return f"imported by {tracked_by}; have its owner remove them there"
    return None


def without_rows(address: str, content: bytes, dropped: Mask, form: CsvForm | None = None) -> bytes:
    """The bytes of a text file or a parquet file without some rows.

    Args:
        address: its path or address, whose ending says what it is.
        dropped: for each row, in the file's order: (rows,).
        form: how a CSV file is written; None to find it from the content, as for a table without a schema.

    Raises:
        OntimeError: the file has another number of rows.
    """
    ending = ending_of(file_name(address))
    if ending == ".parquet":
        return _parquet_without(content, dropped)
    packed = ending.endswith(".gz")
    text = gzip.decompress(content) if packed else content
    kind = ending.removesuffix(".gz")
    if kind not in TEXTS:
        raise OntimeError(f"{address}: neither text nor parquet; nothing was changed")
    pieces = _json_lines(text) if kind in JSON_LINES else _csv_rows(text, form)
    left = _joined(address, pieces, dropped)
    return gzip.compress(left, mtime=0) if packed else left


def _parquet_without(content: bytes, dropped: Mask) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content)).filter(pa.array(~dropped))
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


Piece = tuple[bool, bytes]
"""Whether it is a row, and its bytes."""


def _json_lines(content: bytes) -> Iterator[Piece]:
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    yield False, mark
    for line in io.BytesIO(content.removeprefix(mark)):
        yield bool(line.strip()), line


def _csv_rows(content: bytes, form: CsvForm | None) -> Iterator[Piece]:
    """Each record; the first one has the names, and a blank line is no row."""
    encoding = form.encoding if form else find_encoding(content)
    if form:
        delimiter, quote = form.delimiter, form.quote
    else:
        delimiter, quote = find_separators(decoded(content, encoding).decode(errors="replace"))
    encoding, text = _text_of(content, BYTE_ORDERS.get(content[:2], encoding))
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    before, is_first = 0, True
    for record in reader:
        piece = "".join(lines[before : reader.line_num]).encode(encoding)
        before = reader.line_num
        yield bool(record) and not is_first, piece
        is_first = is_first and not record


def _text_of(content: bytes, encoding: str) -> tuple[str, str]:
    """An encoding in which the text is written back byte for byte, and the text."""
    try:
        text = content.decode(encoding)
        if text.encode(encoding) == content:
            return encoding, text
    except ValueError:
        pass
    # one character a byte: rows, quotes and separators are ASCII
    return "latin-1", content.decode("latin-1")


def _joined(name: str, pieces: Iterable[Piece], dropped: Mask) -> bytes:
    kept: list[bytes] = []
    row = 0
    for is_row, piece in pieces:
        if not is_row:
            kept.append(piece)
            continue
        if row >= len(dropped):
            raise OntimeError(f"{name}: has more rows than were read; nothing was changed")
        if not dropped[row]:
            kept.append(piece)
        row += 1
    if row != len(dropped):
        raise OntimeError(f"{name}: has {row} rows, but {len(dropped)} were read; nothing was changed")
    return b"".join(kept)


def read_bytes(address: str) -> bytes:
    """Bytes of a file at a path or an address.

    Raises:
        OntimeError: it cannot be read.
    """
    try:
        with fsspec.open(address, "rb") as stream:
            content: bytes = stream.read()
    except Exception as error:  # each store raises its own classes
        raise OntimeError(f"{address}: cannot be read: {one_line(error, 200)}") from None
    return content


def write_bytes(address: str, content: bytes) -> None:
    """Replace a file at a path or an address, whole or not at all; raises as `read_bytes` does."""
    if "://" not in address:
        with replacing(Path(address)) as temporary:
            temporary.write_bytes(content)
        return
    try:
        opened: Any = fsspec.open(address, "wb")
        with opened as stream:
            stream.write(content)
    except Exception as error:  # each store raises its own classes
        raise OntimeError(f"{address}: cannot be written: {one_line(error, 200)}") from None
