"""How a text file is written: separator, quote, encoding, and the signs of its numbers; and its cells as texts.

The form is found from the file once, by `ontime init`, and named from then on by `data.options.csv`. Cells are read by
Apache Arrow's reader, which refuses a line with more or fewer values than there are names.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.csv as arrow_csv
from pydantic import AfterValidator, Field, model_validator

from ontime.common.errors import OntimeError, one_line
from ontime.common.params import Section

DELIMITERS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 20
HEAD_ROWS = 1000
BLOCK_BYTES = 1 << 26


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
        return name
    except LookupError:
        raise ValueError(f"no encoding {name}") from None


class CsvForm(Section):
    """How a CSV file is written; `decimal` and `thousands` are the signs in its numbers."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None

    @model_validator(mode="after")
    def _different(self) -> "CsvForm":
        if self.thousands == self.decimal:
            raise ValueError("decimal and thousands must be two signs")
        return self


def find_encoding(data: bytes) -> str:
    """The encoding of a text: what its first bytes mark, else UTF-8 where it is that, else Windows-1252.

    Raises:
        OntimeError: it is none of these.
    """
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return name
    for name in ("utf-8", "cp1252"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        if name != "utf-8" and b"\0" in data:
            break
        return name
    raise OntimeError(
        "not readable: no text in UTF-8 or Windows-1252; save it as UTF-8, or name it: --csv encoding=NAME"
    )


def find_separators(text: str) -> tuple[str, str]:
    """Delimiter and quote of a text by its first rows.

    Of the delimiters by which every row has as many values as the first, the one with most values; where there is none,
    the one that splits the first row most.
    """
    best, found = (False, 0), (DELIMITERS[0], '"')
    for delimiter in DELIMITERS:
        for quote in ('"', "'"):
            rows = [row for row in _first_rows(text, delimiter, quote) if row]
            if not rows or (quote == "'" and not _is_quote(text, delimiter)):
                continue
            same = len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)
            if (same, len(rows[0])) > best:
                best, found = (same, len(rows[0])), (delimiter, quote)
    return found


def _first_rows(text: str, delimiter: str, quote: str) -> list[list[str]]:
    head = text[:HEAD_BYTES]
    rows = _rows(head, delimiter, quote)
    found = [row for row, _ in zip(rows, range(HEAD_ROWS), strict=False)]
    # the last one may be cut
    return found[:-1] if len(head) < len(text) and 1 < len(found) < HEAD_ROWS else found


def _rows(text: str, delimiter: str, quote: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    except csv.Error:
        return


def _is_quote(text: str, delimiter: str) -> bool:
    """Whether every name of the first line stands between single quotes."""
    names = text.split("\n", 1)[0].strip().split(delimiter)
    return all(len(name) > 1 and name[0] == name[-1] == "'" for name in names)


def decoded(data: bytes, encoding: str) -> bytes:
    """The text's bytes in UTF-8 without a mark of the byte order.

    Raises:
        OntimeError: it is not in the encoding.
    """
    if codecs.lookup(encoding).name != "utf-8":
        try:
            data = data.decode(encoding).encode()
        except ValueError as error:
            raise OntimeError(
                f"not readable: {one_line(error, 200)}; data.options.csv.encoding says {encoding}"
            ) from None
    return data.removeprefix(codecs.BOM_UTF8)


def read_cells(data: bytes, form: CsvForm) -> tuple[list[str], pa.Table]:
    """The names of the first row, and the other rows as texts; an empty cell is missing.

    Args:
        data: the text in UTF-8.

    Returns:
        The names as they are, and a table with a column of texts for each.

    Raises:
        OntimeError: no rows, a row with more or fewer values than names, or not readable.
    """
    text = io.TextIOWrapper(io.BytesIO(data[:HEAD_BYTES]), "utf-8", errors="replace", newline="")
    names = next((row for row in _rows(text.read(), form.delimiter, form.quote) if row), [])
    if not names:
        raise OntimeError("not readable: it is empty")
    uneven: list[tuple[int, int]] = []

    def refuse(row: arrow_csv.InvalidRow) -> str:
        uneven.append((row.number, row.actual_columns))
        return "error"

    columns = [f"f{number}" for number in range(len(names))]
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(data),
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=columns),
            arrow_csv.ParseOptions(
                delimiter=form.delimiter,
                quote_char=form.quote,
                newlines_in_values=True,
                invalid_row_handler=refuse,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if uneven:
            raise OntimeError(_uneven(data, form, len(names), *uneven[0])) from None
        raise OntimeError(f"not readable: {one_line(error, 200)}") from None
    if len(table) < 2:
        raise OntimeError("the table has no rows")
    return names, table.slice(1)


def _uneven(data: bytes, form: CsvForm, expected: int, row: int, values: int) -> str:
    """Where a row differs from the names; by its line, which is not its number where values hold line breaks."""
    lines = csv.reader(
        io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""), delimiter=form.delimiter, quotechar=form.quote
    )
    place, before = f"row {row}", 0
    try:
        for found in lines:
            if found and len(found) != expected:
                place, values = f"line {before + 1}", len(found)
                break
            before = lines.line_num
    except (csv.Error, UnicodeDecodeError):
        pass
    return (
        f"{place} has {_count(values, 'value')} under {_count(expected, 'name')}; is the delimiter {form.delimiter!r}?"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
