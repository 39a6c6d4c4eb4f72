"""NannyML on the same rows: which days it raises an alarm on, and rows a CPU second.

`python -m benchmarks.monitoring.rivals.nannyml_days days REFERENCE ROWS COLUMNS`, or `rate` or `cbpe` instead
of `days`; the last line is JSON. Frames are parquet with a column `time`; COLUMNS is JSON: `numbers` and `categories`.
Jensen-Shannon distances by day, and NannyML's own thresholds: three standard deviations over the reference's days.
"""

# its library is in an environment of its own
# mypy: disable-error-code="import-not-found, no-any-unimported"

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml
import pandas as pd

from benchmarks.common import peak_mib

Columns = dict[str, list[str]]


def read(path: str, columns: Columns) -> pd.DataFrame:
    """Rows with text as categories, which NannyML asks for."""
    rows = pd.read_parquet(path)
    return rows.astype(dict.fromkeys(columns["categories"], "category"))


def fitted(reference: pd.DataFrame, columns: Columns) -> Any:
    """A calculator with the thresholds of the reference."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=[*columns["numbers"], *columns["categories"]],
        timestamp_column_name="time",
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunk_period="D",
    )
    return calculator.fit(reference)


def alarmed_columns(reference: pd.DataFrame, rows: pd.DataFrame, columns: Columns) -> dict[str, list[str]]:
    """Columns with an alarm, by day."""
    found = fitted(reference, columns).calculate(rows).filter(period="analysis").to_df()
    days = found["chunk", "chunk", "start_date"].dt.strftime("%Y-%m-%d")
    alarms = found.xs("alert", axis=1, level=2).droplevel(1, axis=1).fillna(False).astype(bool)
    return {day: [str(name) for name in alarms.columns[row]] for day, row in zip(days, alarms.to_numpy(), strict=True)}


def expected_auc(reference: pd.DataFrame, rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """ROC AUC that NannyML's CBPE expects and the true one, by the first day of each week."""
    estimator = nannyml.CBPE(
        y_pred_proba="probability",
        y_pred="decision",
        y_true="target",
        timestamp_column_name="time",
        metrics=["roc_auc"],
        chunk_period="W",
        problem_type="classification_binary",
    )
    found = estimator.fit(reference).estimate(rows).filter(period="analysis").to_df()
    weeks = found["chunk", "start_date"].dt.strftime("%Y-%m-%d")
    columns = (weeks, found["roc_auc", "value"], found["roc_auc", "realized"])
    return {week: {"expected": expected, "truth": truth} for week, expected, truth in zip(*columns, strict=True)}


def rate(reference: pd.DataFrame, path: str, columns: Columns) -> dict[str, float]:
    """CPU seconds to read and count rows, and the peak of memory in MiB."""
    calculator = fitted(reference, columns)
    started = time.process_time()
    calculator.calculate(read(path, columns))
    seconds = time.process_time() - started
    return {"cpu_seconds": seconds, "peak_mib": peak_mib()}


def main() -> None:
    """Print the result of one task."""
    warnings.simplefilter("ignore")
    task, reference_path, path, columns_path = sys.argv[1:]
    columns = json.loads(Path(columns_path).read_text())
    reference = read(reference_path, columns)
    if task == "rate":
        print(json.dumps(rate(reference, path, columns)))
    elif task == "cbpe":
        print(json.dumps(expected_auc(reference, read(path, columns))))
    else:
        print(json.dumps(alarmed_columns(reference, read(path, columns), columns)))


if __name__ == "__main__":
    main()
