"""A model's records: as types that the JSON decoder checks, as rows of the matrix, and as the log shows them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ontime.common.arrays import Matrix
from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import ClientError, Keys, Rows


class RecordEncoding:
    """The records of one model; its features are fields, so that the decoder itself checks names and types."""

    def __init__(self, model: Champion, max_rows: int) -> None:
        self.model, self.max_rows = model, max_rows
        self.encoder: Encoder = model.encoder
        features = self.encoder.features
        types = [float | None] * model.numbers + [str | None] * len(self.encoder.categories)
        self.column_index = {name: column for column, name in enumerate(features)}
        # a feature's name need not be an identifier, a field's name must be
        names = {f"f{column}": name for column, name in enumerate(features)}
        self.record_type = msgspec.defstruct(
            "Record", list(zip(names, types, strict=True)), rename=names, forbid_unknown_fields=True, gc=False
        )
        self.columns_type = msgspec.defstruct(
            "Columns",
            [(field, list[value]) for field, value in zip(names, types, strict=True)],  # type: ignore[valid-type]
            rename=names,
            forbid_unknown_fields=True,
        )
        self._category_of_code: list[dict[float, str | None]] = [
            dict(enumerate(("?", None, *known))) for known in self.encoder.categories.values()
        ]
        self._category_sizes = np.array(self.encoder.category_sizes, dtype=np.float32)

    def field_of(self, feature: str) -> str:
        """The field of a record's struct that holds a feature."""
        return f"f{self.column_index[feature]}"

    def check_row_count(self, rows: int, field: str) -> None:
        """Refuse a request without rows, or with too many.

        Raises:
            ClientError: with the field that holds the rows.
        """
        if rows < 1:
            raise ClientError(400, f"{field}: expected at least one row, found none")
        if rows > self.max_rows:
            raise ClientError(413, f"{field}: expected at most {self.max_rows} rows, found {rows}")

    def check_key_count(self, keys: Keys, rows: int, field: str) -> None:
        """Refuse keys that are not one for each row.

        Raises:
            ClientError: with the field that holds the keys.
        """
        if keys is not None and len(keys) != rows:
            raise ClientError(400, f"{field}: expected {rows} values, one per row, found {len(keys)}")

    def matrix(self, batch: Sequence[Rows]) -> Matrix:
        """The rows of several requests as one matrix (rows, features).

        Raises:
            ClientError: an encoded row holds a code that its category does not have.
        """
        if all(isinstance(rows, list) for rows in batch):
            return self._encode([record for rows in batch for record in rows])
        parts = [self._encode(rows) if isinstance(rows, list) else rows for rows in batch]
        matrix = parts[0] if len(parts) == 1 else np.concatenate(parts)
        codes = matrix[:, self.model.numbers :]
        wrong = ~((codes >= 0) & (codes < self._category_sizes) & (codes % 1 == 0))
        if wrong.any():
            row, category = np.argwhere(wrong)[0]
            name, size = self.encoder.features[self.model.numbers + category], int(self._category_sizes[category])
            raise ClientError(
                400, f"{name}: row {row}: expected a code from 0 to {size - 1}, found {codes[row, category]}"
            )
        return matrix

    def _encode(self, records: list[Any]) -> Matrix:
        with np.errstate(over="ignore"):
            return self.encoder.transform_records([msgspec.structs.astuple(record) for record in records])

    def check(self, matrix: Matrix) -> None:
        """Refuse an infinite number, and a missing value where training always had one.

        Raises:
            ClientError: with the feature and the row.
        """
        infinite = np.isinf(matrix)
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise ClientError(400, f"{self.encoder.features[column]}: row {row}: expected a finite float32 number")
        missing = self.model.missing_required(matrix)
        if missing.any():
            row, position = np.argwhere(missing)[0]
            name = self.encoder.features[self.model.required[position]]
            raise ClientError(400, f"{name}: row {row}: missing, expected a value")

    def record_of(self, row: list[float]) -> Any:
        """The record, a struct, of one encoded row; an unknown category is "?", a missing number stays NaN."""
        numbers = self.model.numbers
        return self.record_type(*row[:numbers], *map(dict.__getitem__, self._category_of_code, row[numbers:]))
