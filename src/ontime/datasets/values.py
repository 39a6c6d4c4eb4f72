"""One column of a table as the schema types it, from texts or from the types of a parquet file; nothing is guessed.

A value that does not fit is never dropped: `typed` raises `UnfitError` with where it is.
"""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ontime.datasets.csv_form import CsvForm
from ontime.datasets.schema import FieldType

NATURAL: dict[str, pa.DataType] = {
    "string": pa.large_string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
}
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
MICROSECONDS_PER_MINUTE = 60_000_000
LARGEST_EXACT = 1 << 53
"""Whole numbers up to this one are all different as a float."""

Array: TypeAlias = Any
"""A chunked array of Arrow, which has no types for mypy."""
Flags = npt.NDArray[np.bool_]


class UnfitError(Exception):
    """Values that are not of the column's type; `rows` has their places, from 0 on."""

    def __init__(self, rows: npt.NDArray[np.intp]) -> None:
        super().__init__(f"{len(rows)} values")
        self.rows = rows


def natural(values: Array) -> Array | None:
    """A column of a file in the one Arrow type of its kind (`NATURAL`), no value changed; None for any other kind.

    A decimal number becomes a float, a time of day and a duration their minutes, a date its midnight in UTC.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return natural(values.cast(kind.value_type))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers)
    if kind in NATURAL.values():
        return values
    if pa.types.is_null(kind):
        return values.cast(pa.float64())
    if pa.types.is_integer(kind):
        # what exceeds 64 bits with a sign stays exact as text
        largest = pc.max(values).as_py() or 0
        return values.cast(pa.int64() if largest < 1 << 63 else pa.large_string())
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        # a time without a zone is one of UTC
        zone = getattr(kind, "tz", None)
        return values.cast(pa.timestamp("us", zone), safe=False).cast(pa.timestamp("us", "UTC"))
    if pa.types.is_time(kind):
        return _minutes(values.cast(pa.time64("us"), safe=False).cast(pa.int64()))
    if pa.types.is_duration(kind):
        return _minutes(values.cast(pa.duration("us"), safe=False).cast(pa.int64()))
    return None


def _minutes(microseconds: Array) -> Array:
    return pc.divide(microseconds.cast(pa.float64()), float(MICROSECONDS_PER_MINUTE))


def number_pattern(form: CsvForm, codes: bool) -> str:
    """Regular expression of a whole text that is a number.

    Args:
        codes: whether digits after a leading zero, as in 007, are a number too.
    """
    point = re.escape(form.decimal)
    whole = "[0-9]+" if codes else "(?:0|[1-9][0-9]*)"
    if form.thousands:
        whole = f"(?:{whole}|[1-9][0-9]{{0,2}}(?:{re.escape(form.thousands)}[0-9]{{3}})+)"
    return f"^[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def matches(texts: Array, pattern: str) -> Flags:
    """For each text whether it matches; False where it is missing."""
    return flags(pc.match_substring_regex(texts, pattern))


def flags(values: Array) -> Flags:
    """Arrow's booleans as numpy's, missing ones False."""
    found: Flags = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def known(values: Array) -> Flags:
    """For each value whether it is there."""
    return flags(pc.is_valid(values))


def stripped(texts: Array) -> Array:
    """Texts without blanks around them; nothing but blanks is missing."""
    bare = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(bare, ""), None, bare)


def without(texts: Array, words: Sequence[str]) -> Array:
    """Texts, missing where they are one of the words."""
    if not words:
        return texts
    missing = pc.fill_null(pc.is_in(texts, value_set=pa.array(words, texts.type)), False)
    return pc.if_else(missing, None, texts)


def typed(values: Array, kind: FieldType, date_format: str | None, missing: Sequence[str], form: CsvForm) -> Array:
    """A natural column as the type that the schema gives it, in Arrow's type of that kind.

    Args:
        date_format: directives of `strptime` for a datetime in texts; None for ISO 8601.
        missing: texts that stand for no value.

    Raises:
        UnfitError: values that are not of the type.
    """
    if pa.types.is_large_string(values.type):
        values = without(values, missing)
    if values.type == NATURAL[kind] or (kind == "number" and pa.types.is_integer(values.type)):
        return values
    if kind == "integer" and pa.types.is_floating(values.type):
        return _whole(values)
    texts = values if pa.types.is_large_string(values.type) else values.cast(pa.large_string())
    if kind == "string":
        return texts
    texts = stripped(texts)
    if kind == "boolean":
        return _booleans(texts)
    if kind == "datetime":
        return _times(texts, date_format)
    return _numbers(texts, kind, form if pa.types.is_large_string(values.type) else CsvForm())


def _refuse(wrong: Flags) -> None:
    if wrong.any():
        raise UnfitError(np.flatnonzero(wrong))


def _whole(values: Array) -> Array:
    numbers = values.to_numpy()
    there = known(values) & ~np.isnan(numbers)
    _refuse(there & ~((np.abs(numbers) < 2.0**63) & (numbers == np.round(numbers))))
    return pa.chunked_array([pa.array(np.where(there, numbers, 0).astype(np.int64), mask=~there)])


def _booleans(texts: Array) -> Array:
    true, false = (
        flags(pc.is_in(texts, value_set=pa.array(words, texts.type))) for words in ((*TRUE, "1"), (*FALSE, "0"))
    )
    _refuse(known(texts) & ~true & ~false)
    return pa.chunked_array([pa.array(true, mask=~known(texts))])


def times_of(texts: Array, date_format: str | None) -> "pd.Series[Any]":
    """Times in UTC to the microsecond, missing where a text is none; one without an offset is of UTC."""
    values = texts.to_pandas().astype("str")
    times = pd.to_datetime(values, utc=True, format=date_format or "ISO8601", errors="coerce")
    found: pd.Series[Any] = times.dt.as_unit("us")
    return found


def _times(texts: Array, date_format: str | None) -> Array:
    times = times_of(texts, date_format)
    _refuse(known(texts) & times.isna().to_numpy())
    return pa.chunked_array([pa.Array.from_pandas(times, type=NATURAL["datetime"])])


def _numbers(texts: Array, kind: FieldType, form: CsvForm) -> Array:
    there = known(texts)
    _refuse(there & ~matches(texts, number_pattern(form, codes=True)))
    if form.thousands:
        texts = pc.replace_substring(texts, form.thousands, "")
    if form.decimal != ".":
        texts = pc.replace_substring(texts, form.decimal, ".")
    whole = matches(texts, "^[+-]?[0-9]+$")
    if kind == "number" or not whole[there].all():
        numbers = texts.cast(pa.float64())
        _refuse(flags(pc.is_inf(numbers)))
        return numbers if kind == "number" else _whole(numbers)
    digits = pc.replace_substring_regex(texts, r"^\+", "")
    try:
        return digits.cast(pa.int64())
    except pa.ArrowInvalid:
        long = (text is not None and not -(1 << 63) <= int(text) < 1 << 63 for text in digits.to_pylist())
        _refuse(np.fromiter(long, np.bool_, len(digits)))
        raise


def as_pandas(values: Array) -> "pd.Series[Any]":
    """A typed column as pandas has it: nullable where whole numbers or booleans are missing."""
    mapper: Any = None
    if values.null_count and pa.types.is_integer(values.type):
        mapper = {pa.int64(): pd.Int64Dtype()}.get
    if values.null_count and pa.types.is_boolean(values.type):
        mapper = {pa.bool_(): pd.BooleanDtype()}.get
    found: pd.Series[Any] = values.to_pandas(types_mapper=mapper)
    return found.astype("str") if pa.types.is_large_string(values.type) else found
