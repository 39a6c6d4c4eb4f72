"""Evidently's drift preset on the same rows: which days it calls drifted, and rows a CPU second.

`python -m benchmarks.monitoring.rivals.evidently_days days REFERENCE ROWS COLUMNS`, or `rate` instead of
`days`; the last line is JSON. Frames are parquet with a column `time`; COLUMNS is JSON: `numbers` and `categories`. A
day is drifted if at least half of its columns are, as the preset says by default; each column's test is the one that
Evidently chooses by the number of rows.
"""

# its library is in an environment of its own
# mypy: disable-error-code="import-not-found, no-any-unimported"

import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.common import peak_mib

Columns = dict[str, list[str]]
DRIFTED_SHARE = 0.5


def drifted_share(reference: pd.DataFrame, rows: pd.DataFrame, columns: Columns) -> float:
    """Share of the columns that the preset calls drifted; an empty column, on which it fails, counts as drifted."""
    names = [*columns["numbers"], *columns["categories"]]
    empty = [name for name in names if rows[name].isna().all() and reference[name].notna().any()]
    numbers, categories = ([name for name in columns[kind] if name not in empty] for kind in ("numbers", "categories"))
    rows, reference = rows.drop(columns=empty), reference.drop(columns=empty)
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in (rows, reference)]
    found = Report([DataDriftPreset(drift_share=DRIFTED_SHARE)]).run(*datasets).dict()
    (share,) = (one["value"]["share"] for one in found["metrics"] if "share" in dict_of(one["value"]))
    return (float(share) * (len(names) - len(empty)) + len(empty)) / len(names)


def dict_of(value: object) -> dict[str, object]:
    """The value if it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else {}


def days(reference: pd.DataFrame, rows: pd.DataFrame, columns: Columns) -> dict[str, float]:
    """Share of drifted columns by day."""
    by_day = rows.groupby(rows["time"].dt.strftime("%Y-%m-%d"))
    return {str(day): drifted_share(reference, one.drop(columns="time"), columns) for day, one in by_day}


def rate(reference: pd.DataFrame, path: str, columns: Columns) -> dict[str, float]:
    """CPU seconds to read and compare rows, and the peak of memory in MiB."""
    started = time.process_time()
    drifted_share(reference, pd.read_parquet(path).drop(columns="time"), columns)
    seconds = time.process_time() - started
    return {"cpu_seconds": seconds, "peak_mib": peak_mib()}


def main() -> None:
    """Print the result of one task."""
    warnings.simplefilter("ignore")
    task, reference_path, path, columns_path = sys.argv[1:]
    columns = json.loads(Path(columns_path).read_text())
    reference = pd.read_parquet(reference_path).drop(columns="time")
    if task == "rate":
        print(json.dumps(rate(reference, path, columns)))
    else:
        print(json.dumps(days(reference, pd.read_parquet(path), columns)))


if __name__ == "__main__":
    main()
