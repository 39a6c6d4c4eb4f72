"""A table's columns as the model's matrix, what is refused in them, and what scoring adds."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.encoder import MISSING, UNKNOWN, Encoder
from ontime.model_deployment.inference.champion import Champion

ADDED = pa.schema(
    {"probability": pa.float32(), "decision": pa.bool_(), "model_version": pa.dictionary(pa.int32(), pa.string())}
)
"""The columns that scoring adds."""


def check_columns(path: Path, schema: pa.Schema, encoder: Encoder) -> None:
    """Stop unless the table has every feature once and of its type, and none of the columns that scoring adds."""
    found = Counter(schema.names)
    absent = [name for name in encoder.features if name not in found]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise OntimeError(f"{path}: no column {', '.join(absent[:5])}{more}; the model needs it")
    for name, count in found.items():
        if name in ADDED.names:
            raise OntimeError(f"{path}: column {name} is there already; rename it")
        if count > 1:
            raise OntimeError(f"{path}: column {name} is there {count} times")
    for name in encoder.features:
        kind = schema.field(name).type
        fits, wanted = (is_number(kind), "numbers") if name in encoder.numbers else (is_text(kind), "text")
        if not fits and not pa.types.is_null(kind):
            raise OntimeError(f"{path}: column {name}: expected {wanted}, found {kind}")


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a number feature."""
    types = pa.types
    return any((types.is_integer(kind), types.is_floating(kind), types.is_boolean(kind), types.is_decimal(kind)))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any((pa.types.is_string(kind), pa.types.is_large_string(kind), pa.types.is_string_view(kind)))


class RefusedValues:
    """Values of a partition that the service would refuse, counted by feature over its batches."""

    def __init__(self, champion: Champion) -> None:
        self.champion = champion
        self.infinite: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        self.unanswered = 0

    def count(self, columns: Matrix) -> npt.NDArray[np.bool_]:
        """Rows (rows,) of encoded columns (features, rows) that lack a value which no training row lacked."""
        incomplete = np.zeros(columns.shape[1], dtype=np.bool_)
        for column, (name, values) in enumerate(zip(self.champion.encoder.features, columns, strict=True)):
            if column >= self.champion.numbers:
                missing = values == MISSING
            elif np.isfinite(values).all():
                continue
            else:
                missing = np.isnan(values)
                self.infinite[name] += int(np.isinf(values).sum())
            if not self.champion.may_be_missing[column]:
                self.lacking[name] += int(missing.sum())
                incomplete |= missing
        self.unanswered += int(incomplete.sum())
        return incomplete

    def refused(self, missing: str) -> bool:
        """Whether the partition is not to be scored."""
        return self.infinite.total() > 0 or (missing == "refuse" and self.unanswered > 0)

    def reason(self) -> str:
        """Columns and counts in one line."""
        if self.infinite.total():
            told = ", ".join(f"{name} in {count:,} rows" for name, count in self.infinite.items() if count)
            return f"values that are no finite float32 numbers: {told}"
        told = ", ".join(f"{name} in {count:,} rows" for name, count in self.lacking.items() if count)
        return (
            f"missing values where training had none: {told}; "
            "fill them in, or leave these rows without a probability by --missing null"
        )


def encode(batch: pa.RecordBatch, encoder: Encoder) -> Matrix:
    """What `Encoder.transform` makes of the batch's columns, transposed, by Arrow's arrays instead of Python's lists.

    Returns:
        float32 (features, rows): a column at a time is faster to fill and to check.
    """
    columns = np.empty((len(encoder.features), batch.num_rows), dtype=np.float32)
    with np.errstate(over="ignore"):
        for number, name in enumerate(encoder.numbers):
            columns[number] = number_values(batch.column(name))
    for category, (name, codes) in enumerate(
        zip(encoder.categories, encoder.codes, strict=True), start=len(encoder.numbers)
    ):
        columns[category] = category_codes(batch.column(name), codes)
    return columns


def number_values(column: pa.Array) -> npt.NDArray[Any]:
    """A column's numbers, NaN where missing: as they are if float32, else float64."""
    if not pa.types.is_float32(column.type):
        column = column.cast(pa.float64(), safe=False)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def category_codes(column: pa.Array, codes: dict[str, int]) -> npt.NDArray[np.float32]:
    """A column's codes, looked up once per distinct value."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    found = [codes.get(value, UNKNOWN) for value in column.dictionary.to_pylist()]
    indices = column.indices.cast(pa.int64()).fill_null(len(found)).to_numpy()
    by_row: npt.NDArray[np.float32] = np.array([*found, MISSING], dtype=np.float32)[indices]
    return by_row


def answer(columns: Matrix, incomplete: npt.NDArray[np.bool_], champion: Champion) -> pa.RecordBatch:
    """What scoring adds to a batch; no probability and no decision where `incomplete`."""
    probability = champion.probability(np.ascontiguousarray(columns.T))
    version = pa.DictionaryArray.from_arrays(np.zeros(len(probability), dtype=np.int32), [champion.version])
    values = [pa.array(probability, mask=incomplete), pa.array(champion.decide(probability), mask=incomplete), version]
    return pa.RecordBatch.from_arrays(values, schema=ADDED)
