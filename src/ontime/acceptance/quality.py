"""Labelled rows scored through the service, and their metrics against those of the manifest on test."""

from pathlib import Path

import numpy as np
import pandas as pd

from ontime.acceptance.checks import Target
from ontime.acceptance.client import binary_body, outputs_of
from ontime.common import paths
from ontime.common.arrays import Outputs
from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.common.weights import weights_in
from ontime.model_evaluation.judge import judge_of
from ontime.tasks.task import target_of, task_of

BATCH_ROWS = 2048


def read_labelled(file: Path | None, target: Target) -> pd.DataFrame:
    """Features, `target` and any weight of a labelled CSV or parquet file, or of the champion's test rows.

    Raises:
        OntimeError: it cannot be read, a column is missing, or there are no targets to judge by.
    """
    source = file or paths.split_rows("test")
    if source.suffix == ".csv":
        strings = {one.name: "string" for one in target.manifest.features if one.type != "number"}
        try:
            rows = pd.read_csv(source, dtype=strings)
        except (OSError, ValueError) as error:
            raise OntimeError(f"{source}: {str(error).splitlines()[0]}") from None
    else:
        rows = read_parquet(source)
    names = [one.name for one in target.manifest.features]
    label = own_in(TARGET, rows.columns)
    weight = [target.manifest.weight] if target.manifest.weight else []
    absent = [name for name in (*names, label, *weight) if name not in rows]
    if absent:
        expected = f"every feature of the model and `{TARGET}`{', and the weights' if weight else ''}"
        raise OntimeError(f"{source}: no column {absent[0]}; expected {expected}")
    fault = task_of(target.manifest.task, target.manifest.classes).fault(rows[label])
    if target.manifest.threshold is not None and (fault or target_of(rows).dtype != np.int8):
        fault = "expected 0 and 1, and both of them"
    if fault:
        raise OntimeError(f"{source}: {TARGET}: {fault}")
    return rows[[*names, label, *weight]]


def check_quality(target: Target, rows: pd.DataFrame, tolerance: float) -> str:
    """Metrics of the service's own answers, each within a share of the manifest's.

    Raises:
        OntimeError: one is further away.
    """
    judge = judge_of(target.manifest.task, target.manifest.classes)
    rule = {} if target.manifest.threshold is None else {"threshold": target.manifest.threshold}
    found = judge.summarize(target_of(rows), _score(target, rows), rule, weights_in(rows, target.manifest.weight))
    expected = target.manifest.metrics["test"]
    target.figures |= {"rows": len(rows), **{name: found[name] for name in judge.accepted}}
    for name in judge.accepted:
        # written so that NaN fails
        if not abs(found[name] - expected[name]) <= tolerance * abs(expected[name]):
            raise OntimeError(
                f"{name} {found[name]:g} of {len(rows)} rows is more than {100 * tolerance:g} % away from "
                f"{expected[name]:g} in the manifest"
            )
    values = ", ".join(f"{name} {found[name]:g}" for name in judge.accepted)
    return f"{len(rows)} rows: {values}, each within {100 * tolerance:g} % of the manifest"


def _score(target: Target, rows: pd.DataFrame) -> Outputs:
    """What the service says of each row, in order."""
    parts = []
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows.iloc[start : start + BATCH_ROWS]
        columns = {one.name: batch[one.name].tolist() for one in target.manifest.features}
        body, headers = binary_body(target.manifest.features, columns)
        outputs = outputs_of(target.client.ask("POST", f"{target.v2}/infer", body, headers), target.manifest.answer)
        if len(outputs) != len(batch):
            raise OntimeError(f"{len(outputs)} answers for {len(batch)} rows")
        parts.append(outputs)
    return np.concatenate(parts)
