"""Rows that a file or a database hands over value by value, as columns in Arrow's types.

A column whose values are of one kind gets the type of that kind. One of several kinds becomes texts, each as it was
written, so that no value is lost.
"""

import datetime
import decimal
import json
import uuid
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.schema import FieldType
from ontime.datasets.values import LARGEST_EXACT, NATURAL, Array

BLOCK_ROWS = 1 << 16
"""So many rows are kept as Python's values at a time."""
NUMBERS = {int, float, decimal.Decimal}
TIMES = {datetime.date, datetime.datetime}
TEXT: FieldType = "string"
ARROW: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    str: NATURAL[TEXT],
    datetime.date: pa.date32(),
    datetime.time: pa.time64("us"),
    datetime.timedelta: pa.duration("us"),
}


class Rows:
    """Rows that are added one by one; `mixed` names columns of several kinds, `nested` has the kinds of those that hold
    lists, mappings or bytes."""

    def __init__(self) -> None:
        self.count = 0
        self.nested: dict[str, str] = {}
        self.mixed: list[str] = []
        self._block: dict[str, list[Any]] = {}
        self._block_rows = 0
        self._blocks: dict[str, list[tuple[int, Array]]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row: values by column; a column that it lacks is missing there.

        Raises:
            OntimeError: a value that no type has, such as a year of five digits.
        """
        for name, value in row.items():
            values = self._block.setdefault(name, [])
            if len(values) < self._block_rows:
                values.extend([None] * (self._block_rows - len(values)))
            values.append(value)
        self.count += 1
        self._block_rows += 1
        if self._block_rows == BLOCK_ROWS:
            self._end_block()

    def columns(self) -> dict[str, Array]:
        """The columns in the order in which they came; those that are nested are left out."""
        self._end_block()
        return {name: self._joined(name, blocks) for name, blocks in self._blocks.items() if name not in self.nested}

    def _end_block(self) -> None:
        start = self.count - self._block_rows
        for name, values in self._block.items():
            self._blocks.setdefault(name, []).append((start, self._array(name, values)))
        self._block, self._block_rows = {}, 0

    def _array(self, name: str, values: list[Any]) -> Array:
        kinds = {type(value) for value in values if value is not None}
        for kind in kinds:
            if kind not in ARROW and kind not in NUMBERS | TIMES | {uuid.UUID}:
                self.nested[name] = kind.__name__
                return pa.nulls(len(values))
        try:
            return self._typed(name, values, kinds)
        except (pa.ArrowException, OverflowError, ValueError) as error:
            raise OntimeError(f"{name}: not readable: {one_line(error, 200)}") from None

    def _typed(self, name: str, values: list[Any], kinds: set[type]) -> Array:
        if not kinds:
            return pa.nulls(len(values))
        if len(kinds) == 1 and kinds <= set(ARROW):
            return pa.array(values, ARROW[kinds.pop()])
        if kinds <= TIMES:
            return pa.array([None if value is None else _in_utc(value) for value in values], NATURAL["datetime"])
        if kinds <= NUMBERS:
            wholes = [value for value in values if type(value) is int]
            if kinds == {int} and all(-(1 << 63) <= value < 1 << 63 for value in wholes):
                return pa.array(values, NATURAL["integer"])
            if kinds != {int} and all(abs(value) < LARGEST_EXACT for value in wholes):
                return pa.array([None if value is None else float(value) for value in values], NATURAL["number"])
        elif kinds != {uuid.UUID}:
            self._mix(name)
        return pa.array([None if value is None else as_text(value) for value in values], NATURAL[TEXT])

    def _mix(self, name: str) -> None:
        if name not in self.mixed:
            self.mixed.append(name)

    def _joined(self, name: str, blocks: list[tuple[int, Array]]) -> Array:
        """One column of the blocks, missing where it has none."""
        kinds = {block.type for _, block in blocks if not pa.types.is_null(block.type)}
        kind = _common(kinds, [block for _, block in blocks])
        if kind == NATURAL[TEXT] and kinds != {kind}:
            self._mix(name)
        parts, end = [], 0
        for start, block in blocks:
            parts.append(pa.nulls(start - end, kind))
            parts.append(_as_type(block, kind))
            end = start + len(block)
        return pa.chunked_array([*parts, pa.nulls(self.count - end, kind)], kind)


def _common(kinds: set[pa.DataType], blocks: list[Array]) -> pa.DataType:
    """The type of blocks of these types."""
    if len(kinds) < 2:
        return next(iter(kinds), pa.null())
    if kinds == {NATURAL["integer"], NATURAL["number"]}:
        wholes = [block for block in blocks if block.type == NATURAL["integer"]]
        if all(abs(value) < LARGEST_EXACT for block in wholes for value in block.drop_null().to_pylist()):
            return NATURAL["number"]
    if kinds == {pa.date32(), NATURAL["datetime"]}:
        return NATURAL["datetime"]
    return NATURAL[TEXT]


def _as_type(block: Array, kind: pa.DataType) -> Array:
    if kind == NATURAL[TEXT] and block.type != kind:
        return pa.array([None if value is None else as_text(value) for value in block.to_pylist()], kind)
    return block.cast(kind)


def _in_utc(value: datetime.date) -> datetime.datetime:
    """A time in UTC; one without an offset is of UTC, a date is its midnight."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def as_text(value: Any) -> str:
    """A value as JSON has it, without quotes; of what JSON lacks, as Python writes it."""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)
