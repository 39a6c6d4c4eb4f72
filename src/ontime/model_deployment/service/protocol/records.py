"""A model's records: as types that the JSON decoder checks, as rows of the matrix, and as the log shows them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ontime.common.arrays import Matrix
from ontime.encoder import Encoder
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.messages import ClientError, Keys, Rows

ESCAPED = re.compile(r'["\\\x00-\x1f]')
"""What JSON escapes in a name, and msgspec therefore refuses in a field's name."""


def stand_ins(features: Sequence[str]) -> dict[str, str]:
    """For each feature whose name JSON escapes, the name of its field."""
    found: dict[str, str] = {}
    for name in filter(ESCAPED.search, features):
        stand_in = ESCAPED.sub("_", name)
        while stand_in in features or stand_in in found.values():
            stand_in += "_"
        found[name] = stand_in
    return found


class RecordEncoding:
    """The records of one model; its features are fields, so that the decoder itself checks names and types."""

    def __init__(self, model: Champion, max_rows: int) -> None:
        self.model, self.max_rows = model, max_rows
        self.encoder: Encoder = model.encoder
        features = self.encoder.features
        types = [float | None] * model.numbers + [str | None] * (len(features) - model.numbers)
        self.column_index = {name: column for column, name in enumerate(features)}
        self.stand_ins = stand_ins(features)
        # a feature's name need not be an identifier, a field's name must be
        names = {f"f{column}": self.stand_ins.get(name, name) for column, name in enumerate(features)}
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

    def with_stand_ins(self, body: bytes) -> bytes:
        """A version 1 request with the names of fields in place of the features'; what is no request stays as it is."""
        try:
            content = json.loads(body)
            for record in [content.get("inputs"), *content.get("instances", [])]:
                for name, field in self.stand_ins.items():
                    # a client knows the feature's name alone
                    if isinstance(record, dict) and field not in record and name in record:
                        record[field] = record.pop(name)
        except (AttributeError, TypeError, ValueError, RecursionError):
            return body
        return json.dumps(content).encode()

    def with_names(self, records: Iterable[Any]) -> Iterable[Any]:
        """Records for the log, by the features' own names."""
        if not self.stand_ins:
            return records
        return (
            {
                name: value
                for name, value in zip(self.encoder.features, msgspec.structs.astuple(record), strict=True)
                if value is not msgspec.UNSET
            }
            for record in records
        )

    def name_properties(self, schema: dict[str, Any]) -> None:
        """Put the features' own names into the JSON Schema of a record."""
        names = {field: name for name, field in self.stand_ins.items()}
        schema["properties"] = {names.get(field, field): content for field, content in schema["properties"].items()}
        schema["required"] = [names.get(field, field) for field in schema["required"]]

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
        """The rows of several requests as one matrix (rows, columns).

        Raises:
            ClientError: an encoded row holds a code that its category does not have.
        """
        if all(isinstance(rows, list) for rows in batch):
            return self._encode([record for rows in batch for record in rows])
        parts = [self._encode(rows) if isinstance(rows, list) else rows for rows in batch]
        matrix = parts[0] if len(parts) == 1 else np.concatenate(parts)
        codes = matrix[:, self.encoder.coded]
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

    def check_encoded(self, field: str) -> None:
        """Refuse encoded rows of a model of texts: what the texts were, nobody could tell from them.

        Raises:
            ClientError: with the field that holds the rows.
        """
        if self.encoder.texts:
            raise ClientError(400, f"{field}: the model reads text, so it takes no encoded rows; send the features")

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

    def rows_of(self, columns: Mapping[str, Sequence[Any]]) -> Rows:
        """Rows that came as a column for each feature: encoded, or as records if texts are to be logged."""
        if self.encoder.texts:
            values = (column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values())
            return [self.record_type(*record) for record in zip(*values, strict=True)]
        with np.errstate(over="ignore"):
            return self.encoder.transform(columns)

    def record_of(self, row: list[float]) -> Any:
        """The record, a struct, of one encoded row; an unknown category is "?", a missing number stays NaN."""
        numbers = self.model.numbers
        return self.record_type(*row[:numbers], *map(dict.__getitem__, self._category_of_code, row[numbers:]))
