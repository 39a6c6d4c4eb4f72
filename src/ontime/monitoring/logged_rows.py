"""Logged rows as a model's matrix, whatever the schema of their file, and a sample of them that is the same each time.

Versions of a model may have other features, and a service may leave some out of its log. Nothing of that is an error
of the row: what a value cannot be is counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.arrays import Matrix
from ontime.encoder import MISSING, Encoder
from ontime.monitoring.log_files import FEATURE, LogTable

PLACE = ["time", "request_id", "row"]
"""What names a predicted row in the lines of every model that predicted it."""


@dataclass(frozen=True)
class LoggedMatrix:
    """Logged rows as a model's matrix (rows, columns), and what of them is not what the model takes.

    `other_type` (rows, features) is true for texts where the model takes numbers, which are missing in the matrix, and
    for numbers where it takes texts, which are unknown in it. `absent` are the features that the file lacks, which are
    missing in all rows; `foreign` those that the model lacks.
    """

    matrix: Matrix
    other_type: npt.NDArray[np.bool_]
    absent: list[str]
    foreign: list[str]


def logged_matrix(rows: pd.DataFrame, encoder: Encoder) -> LoggedMatrix:
    """Logged rows of a file, encoded."""
    columns: dict[str, npt.NDArray[Any]] = {}
    other_type = np.zeros((len(rows), len(encoder.features)), dtype=np.bool_)
    for place, name in enumerate(encoder.features):
        values = rows.get(FEATURE + name)
        if values is None:
            columns[name] = np.full(len(rows), np.nan)
        elif pd.api.types.is_numeric_dtype(values) == (name in encoder.numbers):
            columns[name] = values.array if isinstance(values.dtype, pd.CategoricalDtype) else values.to_numpy()
        else:
            columns[name], other_type[:, place] = _as_other_type(values, to_number=name in encoder.numbers)
    logged = [str(column).removeprefix(FEATURE) for column in rows.columns if str(column).startswith(FEATURE)]
    return LoggedMatrix(
        encoder.transform(columns),
        other_type,
        [name for name in encoder.features if name not in logged],
        [name for name in logged if name not in encoder.features],
    )


def missing_values(matrix: Matrix, encoder: Encoder) -> npt.NDArray[np.bool_]:
    """Which values of encoded rows are missing: (rows, features)."""
    missing = np.isnan(matrix[:, : len(encoder.features)])
    missing[:, encoder.coded] = matrix[:, encoder.coded] == MISSING
    return missing


def _as_other_type(values: "pd.Series[Any]", to_number: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Values as the other type, and which of them are not of it; compaction writes numbers among texts as texts."""
    present = values.notna()
    if to_number:
        numbers = pd.to_numeric(values.astype(object), errors="coerce")
        return numbers.to_numpy(dtype=np.float64), (numbers.isna() & present).to_numpy(dtype=np.bool_)
    texts = values.astype(object).mask(present, values.astype(str))
    return texts.to_numpy(), present.to_numpy(dtype=np.bool_)


def sampled_rows(table: LogTable, event: str, rows: int, with_key: bool = False) -> tuple[pd.DataFrame, int]:
    """A sample of a file's rows of one event, in their order, and how many rows it was taken from.

    Rows are ranked by a hash of time, request id and row number, so that every run takes the same, and all versions'
    files those of the same requests.

    Args:
        rows: size of the sample.
        with_key: only rows that have a key.
    """
    ranks, places, start = [], [], 0
    for batch in table.batches([*PLACE, "event", "key"]):
        wanted = (batch["event"] == event).to_numpy()
        if with_key:
            wanted = wanted & (batch["key"].notna().to_numpy() if "key" in batch else False)
        names = zip(*(batch.loc[wanted, name].tolist() for name in PLACE), strict=True)
        ranks.append(np.array([rank(*name) for name in names], dtype=np.uint64))
        places.append(np.flatnonzero(wanted) + start)
        start += len(batch)
    if not start:
        return pd.DataFrame(columns=[*PLACE, "event", "key"]), 0
    lowest = np.argsort(np.concatenate(ranks), kind="stable")[:rows]
    return rows_at(table, np.sort(np.concatenate(places)[lowest])), sum(map(len, ranks))


def rank(time: str, request_id: str, row: int) -> int:
    """A hash of what names a row, of 64 bits."""
    return int.from_bytes(blake2b(f"{time}\0{request_id}\0{row}".encode(), digest_size=8).digest())


def rows_at(table: LogTable, places: npt.NDArray[np.int64]) -> pd.DataFrame:
    """A file's rows at ascending places (rows,)."""
    found, start = [], 0
    for batch in table.batches():
        inside = places[(places >= start) & (places < start + len(batch))]
        found.append(batch.iloc[inside - start])
        start += len(batch)
    return with_count(pd.concat(found, ignore_index=True))


def with_count(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the number of features in their lines, missing where the file was written without it."""
    return rows if "features" in rows else rows.assign(features=np.nan)


def rows_named(tables: Iterable[LogTable], names: pd.DataFrame) -> pd.DataFrame:
    """The predictions of several files that have the time, request id and row number of one of `names`."""
    wanted = pd.MultiIndex.from_frame(names[PLACE])
    found = [names[PLACE].iloc[:0]]
    for table in tables:
        for batch in table.batches():
            named = pd.MultiIndex.from_frame(batch[PLACE]).isin(wanted) & (batch["event"] == "prediction")
            found.append(batch[named])
    return with_count(pd.concat(found, ignore_index=True)).drop_duplicates(PLACE)
