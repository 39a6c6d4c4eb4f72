"""A file of rows without some of them; every other byte of a CSV file stays as it is."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import replacing

Mask = npt.NDArray[np.bool_]
READ_ONLY = ("http://", "https://")


def without_rows(name: str, content: bytes, dropped: Mask) -> bytes:
    """The bytes of a .csv, .csv.gz or .parquet file without some rows.

    Args:
        dropped: for each row, in the file's order: (rows,).

    Raises:
        OntimeError: the file has another number of rows.
    """
    if name.endswith(".parquet"):
        return _parquet_without(content, dropped)
    if name.endswith(".gz"):
        return gzip.compress(_csv_without(name, gzip.decompress(content), dropped), mtime=0)
    return _csv_without(name, content, dropped)


def _parquet_without(content: bytes, dropped: Mask) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content)).filter(pa.array(~dropped))
    # pandas' own metadata may name the index by its extremes
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def _csv_without(name: str, content: bytes, dropped: Mask) -> bytes:
    # one character a byte, whatever the encoding: rows, quotes and separators are ASCII
    lines = io.StringIO(content.decode("latin-1"), newline="").readlines()
    reader = csv.reader(lines)
    kept: list[str] = []
    before, row = 0, -1
    for record in reader:
        piece = lines[before : reader.line_num]
        before = reader.line_num
        # the first record is the header; a blank line is no row
        if not record or row == -1:
            kept += piece
            row += bool(record)
            continue
        if row >= len(dropped):
            raise OntimeError(f"{name}: has more rows than were read; nothing was changed")
        if not dropped[row]:
            kept += piece
        row += 1
    if row != len(dropped):
        raise OntimeError(f"{name}: has {max(row, 0)} rows, but {len(dropped)} were read; nothing was changed")
    return "".join(kept).encode("latin-1")


def check_writable(address: str, where: str) -> None:
    """Refuse what cannot be replaced, before anything is changed."""
    if address.startswith(READ_ONLY):
        raise OntimeError(f"{where}: {address}: a web server's file cannot be changed from here; copy the data first")


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
