"""TensorFlow Serving's REST API, version 1.

A request has `instances`, records by feature name or encoded rows, or `inputs`, columns by feature name; a missing
value is null. `keys`, which is this service's own, names the rows in the log. https://www.tensorflow.org/tfx/serving/api_rest
`:explain`, which KServe has beside it, takes the same request.
https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from ontime.common.arrays import Matrix
from ontime.model_deployment.inference.champion import Outputs
from ontime.model_deployment.service.protocol.json_decoding import decode
from ontime.model_deployment.service.protocol.messages import (
    CONTRIBUTIONS,
    JSON_HEADERS,
    ClientError,
    ExplainResponse,
    Headers,
    Key,
    Keys,
    PredictResponse,
    RequestedOutputs,
    RequestHeaders,
    RowExplanation,
    Rows,
)
from ontime.model_deployment.service.protocol.records import RecordEncoding


class PredictProtocol:
    """Reads and writes `:predict` for one model."""

    def __init__(self, records: RecordEncoding) -> None:
        self.records = records
        record: Any = records.record_type
        columns: Any = records.columns_type
        self.request_type = msgspec.defstruct(
            "PredictRequest",
            [
                ("instances", list[record | list[float | None]] | UnsetType, UNSET),
                ("inputs", columns | UnsetType, UNSET),
                ("signature_name", str | UnsetType, UNSET),
                ("keys", list[Key | None] | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(self.request_type)

    def read(self, body: bytes, headers: RequestHeaders) -> tuple[Rows, bool, Keys]:
        """Rows of a request, whether it came as columns, and the rows' keys.

        Raises:
            ClientError: with the field and what was expected.
        """
        del headers
        if self.records.stand_ins:
            body = self.records.with_stand_ins(body)
        request = decode(self._decoder, body, type_with_nan=self.request_type)
        rows, columns = request.instances, request.inputs
        if (rows is UNSET) == (columns is UNSET):
            raise ClientError(400, "expected either `instances` or `inputs`")
        found = self._rows_of_columns(columns) if rows is UNSET else self._rows_of_instances(rows)
        if request.keys is UNSET:
            return found, rows is UNSET, None
        self.records.check_key_count(request.keys, len(found), "keys")
        return found, rows is UNSET, request.keys

    def _rows_of_instances(self, rows: list[Any]) -> Rows:
        self.records.check_row_count(len(rows), "instances")
        if isinstance(rows[0], list):
            return self._matrix_of_lists(rows)
        for number, row in enumerate(rows):
            if isinstance(row, list):
                raise ClientError(400, f"instances[{number}]: expected an object like instances[0], found a list")
        return rows

    def _rows_of_columns(self, columns: Any) -> Rows:
        features, values = self.records.encoder.features, msgspec.structs.astuple(columns)
        count = len(values[0])
        self.records.check_row_count(count, "inputs")
        for name, column in zip(features, values, strict=True):
            if len(column) != count:
                raise ClientError(400, f"inputs.{name}: expected {count} values, found {len(column)}")
        return self.records.rows_of(dict(zip(features, values, strict=True)))

    def _matrix_of_lists(self, rows: Sequence[Any]) -> Matrix:
        self.records.check_encoded("instances[0]")
        width = len(self.records.column_index)
        for number, row in enumerate(rows):
            if not isinstance(row, list):
                raise ClientError(400, f"instances[{number}]: expected a list like instances[0], found an object")
            if len(row) != width:
                raise ClientError(400, f"instances[{number}]: expected {width} numbers, found {len(row)}")
        with np.errstate(over="ignore"):
            return np.array(rows, dtype=np.float64).astype(np.float32)

    def write(self, as_columns: bool, predicted: Outputs) -> tuple[bytes, Headers]:
        """`predictions` by row, or `outputs` where columns came."""
        values = predicted.tolist()
        response = PredictResponse(outputs=values) if as_columns else PredictResponse(values)
        return msgspec.json.encode(response), JSON_HEADERS


class ExplainProtocol:
    """Reads and writes `:explain` for the model of a `PredictProtocol`."""

    def __init__(self, predict: PredictProtocol) -> None:
        self.predict, self.features = predict, predict.records.encoder.features

    def read(self, body: bytes, headers: RequestHeaders) -> tuple[Rows, RequestedOutputs, Keys]:
        """Rows of a request, its one output, and the rows' keys.

        Raises:
            ClientError: with the field and what was expected.
        """
        rows, _, keys = self.predict.read(body, headers)
        return rows, RequestedOutputs("", ((CONTRIBUTIONS, False),), explained=True), keys

    def write(self, requested: RequestedOutputs, predicted: Outputs) -> tuple[bytes, Headers]:
        """`predictions` and `explanations` by row."""
        found = requested.explanation
        assert found is not None  # noqa: S101 - the request was explained before it is answered
        rows = zip(
            found.base_value.tolist(),
            found.margin.tolist(),
            found.exact.tolist(),
            found.contributions.tolist(),
            strict=True,
        )
        explanations = [
            RowExplanation(
                base_value,
                margin,
                found.scale,
                exact,
                dict(zip(self.features, contributions, strict=True)),
                UNSET if exact else found.permutations,
            )
            for base_value, margin, exact, contributions in rows
        ]
        return msgspec.json.encode(ExplainResponse(predicted.tolist(), explanations)), JSON_HEADERS
