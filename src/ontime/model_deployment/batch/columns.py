"""A table's columns as the model's matrix, which of their values are refused, and the columns that scoring adds."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.layout import own
from ontime.encoder import MISSING, UNKNOWN, Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.tasks.answers import Answer

TYPES = {"FP32": pa.float32(), "BOOL": pa.bool_(), "BYTES": pa.string()}
"""Columns of the service's outputs, by their datatypes."""
VERSION = pa.field("model_version", pa.dictionary(pa.int32(), pa.string()))


def added_columns(encoder: Encoder, answer: Answer) -> pa.Schema:
    """The columns that scoring adds; a name has another underscore where a feature of the model is called so."""
    fields = [*(pa.field(column, TYPES[answer.types[name]]) for column, name, _ in flat_columns(answer)), VERSION]
    taken = list(encoder.features)
    for place, field in enumerate(fields):
        fields[place] = field.with_name(own(field.name, taken))
        taken.append(fields[place].name)
    return pa.schema(fields)


def flat_columns(answer: Answer) -> list[tuple[str, str, int | None]]:
    """The columns of the answer in a table: name, the service's output, and which column of that if it has several."""
    found: list[tuple[str, str, int | None]] = []
    for name in answer.types:
        if answer.width(name) is None:
            found.append((name, name, None))
        else:
            found += [(f"{name}_{one}", name, place) for place, one in enumerate(answer.classes)]
    return found


def check_columns(path: Path, schema: pa.Schema, encoder: Encoder, answer: Answer) -> None:
    """Refuse a table that lacks a feature, has one of another type, or has a column that scoring adds.

    Raises:
        OntimeError: names the file and the column.
    """
    counts = Counter(schema.names)
    missing = [name for name in encoder.features if name not in counts]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        names = ", ".join(missing[:5])
        raise OntimeError(f"{path}: no column {names}{more}, which the model needs; raw rows are for `ontime predict`")
    for name, count in counts.items():
        if name in added_columns(encoder, answer).names:
            raise OntimeError(f"{path}: column {name} exists already; rename it")
        if count > 1:
            raise OntimeError(f"{path}: column {name} occurs {count} times")
    for name in encoder.features:
        column_type = schema.field(name).type
        is_number = name in encoder.numbers
        if not (is_number_type(column_type) if is_number else is_text_type(column_type)):
            raise OntimeError(
                f"{path}: column {name}: expected {'numbers' if is_number else 'text'}, found {column_type}"
            )


def is_number_type(column_type: pa.DataType) -> bool:
    """Whether a column of this type can be a number feature; one without any value can be either."""
    is_ = pa.types
    return any(
        check(column_type) for check in (is_.is_integer, is_.is_floating, is_.is_boolean, is_.is_decimal, is_.is_null)
    )


def is_text_type(column_type: pa.DataType) -> bool:
    """Whether a column of this type can be a category or a text; one without any value can be either."""
    is_ = pa.types
    if is_.is_dictionary(column_type):
        column_type = column_type.value_type
    return any(check(column_type) for check in (is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_null))


class RefusedValues:
    """Values of a partition that the service would refuse, counted by feature over its batches.

    `incomplete_rows` is the number of rows that lack a value which every training row had.
    """

    def __init__(self, champion: Champion) -> None:
        self.champion = champion
        self.infinite: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.incomplete_rows = 0

    def count(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        """Count in encoded rows (rows, features), and return which of them (rows,) lack a required value."""
        features = self.champion.encoder.features
        infinite = np.isinf(matrix[:, : len(features)])
        if infinite.any():
            self.infinite.update(_counts(features, infinite))
        missing = self.champion.missing_required(matrix)
        incomplete = np.asarray(missing.any(axis=1))
        if incomplete.any():
            self.missing.update(_counts([features[column] for column in self.champion.required], missing))
            self.incomplete_rows += int(incomplete.sum())
        return incomplete

    def refused(self, missing: str) -> bool:
        """Whether the partition must not be scored, when `missing` values are to `refuse` it or to give `null`."""
        return self.infinite.total() > 0 or (missing == "refuse" and self.incomplete_rows > 0)

    def reason(self) -> str:
        """Features and counts in one line."""
        if self.infinite.total():
            return f"values that are not finite float32 numbers: {_in_words(self.infinite)}"
        return (
            f"missing values where training had none: {_in_words(self.missing)}; fill them in, or pass --missing null "
            "to leave these rows without an answer"
        )


def _counts(names: list[str], values: npt.NDArray[np.bool_]) -> dict[str, int]:
    """How many values (rows, names) are true, by name."""
    return {name: int(count) for name, count in zip(names, values.sum(axis=0), strict=True) if count}


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} in {count:,} rows" for name, count in counts.items())


def encode(batch: pa.RecordBatch, encoder: Encoder) -> Matrix:
    """What `Encoder.transform` makes of the batch's columns (rows, columns), from Arrow arrays and so faster."""
    matrix = np.empty((batch.num_rows, encoder.coded.stop), dtype=np.float32)
    with np.errstate(over="ignore"):
        for column, name in enumerate(encoder.numbers):
            matrix[:, column] = number_values(batch.column(name))
    for column, (name, codes) in enumerate(
        zip(encoder.categories, encoder.codes, strict=True), start=len(encoder.numbers)
    ):
        matrix[:, column] = category_codes(batch.column(name), codes)
    return encoder.with_texts(matrix, [batch.column(name).to_pylist() for name in encoder.texts])


def number_values(column: pa.Array) -> npt.NDArray[Any]:
    """A column's numbers (rows,), NaN where missing: as they are if float32, else float64."""
    if not pa.types.is_float32(column.type):
        column = column.cast(pa.float64(), safe=False)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def category_codes(column: pa.Array, codes: dict[str, int]) -> npt.NDArray[np.float32]:
    """A column's codes (rows,), looked up once per distinct value."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    code_of_entry = [codes.get(value, UNKNOWN) for value in column.dictionary.to_pylist()]
    indices = column.indices.cast(pa.int64()).fill_null(len(code_of_entry)).to_numpy()
    codes_by_row: npt.NDArray[np.float32] = np.array([*code_of_entry, MISSING], dtype=np.float32)[indices]
    return codes_by_row


def predictions(matrix: Matrix, incomplete: npt.NDArray[np.bool_], champion: Champion) -> pa.RecordBatch:
    """The added columns for encoded rows (rows, features); what the model answers is null where `incomplete`."""
    outputs, answer = champion.predict(matrix), champion.answer
    version = pa.DictionaryArray.from_arrays(np.zeros(len(outputs), dtype=np.int32), [champion.version])
    values = [
        pa.array(said if place is None else said[:, place], type=TYPES[answer.types[name]], mask=incomplete)
        for _, name, place in flat_columns(answer)
        for said in [answer.values(name, outputs)]
    ]
    return pa.RecordBatch.from_arrays([*values, version], schema=added_columns(champion.encoder, answer))
