"""A sheet of an Excel file (.xlsx), whose first row has the names; a cell of an error, such as #N/A, is a text."""

import io
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.rows import Rows


def read_workbook(data: bytes, sheet: str | None) -> tuple[list[str], Rows]:
    """The names of a sheet's columns as they are, and its rows.

    Args:
        sheet: its name; None for the only one that has cells.

    Raises:
        OntimeError: not readable, no such sheet or several, values under no name, or a formula whose value is not in
            the file.
    """
    try:
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise OntimeError("an Excel file needs the package openpyxl: `make setup-tables`") from None
    try:
        book = _opened(data, values=True)
        name = _sheet_of(book, sheet)
        names, rows = _read(book[name])
        if any(None in row for row in rows):
            _check_formulas(_opened(data, values=False)[name], rows, len(names))
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError, TypeError) as error:
        raise OntimeError(f"not readable: {one_line(error, 200)}") from None
    found = Rows()
    for row in rows:
        found.add({name: value for name, value in zip(names, row, strict=True) if name})
    return names, found


def _opened(data: bytes, values: bool) -> Any:
    import openpyxl

    return openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=values, keep_links=False)


def _sheet_of(book: Any, wanted: str | None) -> str:
    names = [sheet.title for sheet in book.worksheets]
    if wanted is not None:
        if wanted not in names:
            raise OntimeError(f"no sheet {wanted}; it has {', '.join(names)}")
        return wanted
    filled = [sheet.title for sheet in book.worksheets if any(True for _ in _rows_of(sheet))]
    if len(filled) > 1:
        raise OntimeError(f"it has the sheets {', '.join(filled)}; say which one: --sheet {filled[0]}")
    if not filled:
        raise OntimeError("not readable: it is empty")
    return str(filled[0])


def _rows_of(sheet: Any) -> Iterator[Sequence[Any]]:
    """Rows that have a value, without the empty cells behind the last one."""
    # a sheet's own word on its size may be wrong
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True):
        end = max((place for place, value in enumerate(row, start=1) if value is not None), default=0)
        if end:
            yield row[:end]


def _read(sheet: Any) -> tuple[list[str], list[list[Any]]]:
    lines = _rows_of(sheet)
    names = ["" if name is None else str(name) for name in next(lines, ())]
    rows = []
    for number, row in enumerate(lines, start=1):
        if len(row) > len(names):
            raise OntimeError(f"row {number} has {len(row)} values under {len(names)} names")
        rows.append([None if value == "" else value for value in row] + [None] * (len(names) - len(row)))
    return names, rows


def _check_formulas(sheet: Any, rows: list[list[Any]], width: int) -> None:
    """Refuse a formula whose value no program has stored."""
    lines = itertools.islice(_rows_of(sheet), 1, None)
    for number, (row, values) in enumerate(zip(lines, rows, strict=False), start=1):
        for formula, value in zip(row[:width], values, strict=False):
            if value is None and isinstance(formula, str) and formula.startswith("="):
                raise OntimeError(
                    f"row {number} has the formula {formula:.40} without its value; "
                    "open the file in a spreadsheet program and save it"
                )
