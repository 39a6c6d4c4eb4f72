"""The champions of base and branch on rows that neither was fitted on, by days.

In: the branch's test rows, the base's training and validation rows, and both champions' folders, each loaded as the
service loads it. Out: what both say of each row, whose losses are compared in pairs. Rows of a day are not
independent, so whole days are resampled, not rows.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.common.layout import Layout, own
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.manifest import MANIFEST
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.settings import Decision
from ontime.pull_request.gate import SIDES, Comparison, Gate, Tolerance, compare_metrics, compare_slices
from ontime.tasks.task import as_column

CONFIDENCE = 0.95
LEAST_DAYS = 7
"""Days below which nothing is said, because an interval of so few is too narrow."""
Opened = Callable[[Path], IO[bytes]]


@dataclass(frozen=True)
class Unseen:
    """Rows with `target`, slices, `base` and `head` outputs; the day of each (rows,); any thresholds."""

    rows: pd.DataFrame
    day: npt.NDArray[np.int64]
    days: list[str]
    base_threshold: float | None
    head_threshold: float | None
    compared: Sequence[str] = ("log_loss", "roc_auc", "cost_per_1000")
    """Metrics that are shown, the loss first."""
    weight: str | None = None
    """The base's column of what each row counts, if the rows have it."""

    def metrics(self, decision: Decision, gate: Gate) -> list[Comparison]:
        """The gate's metrics on these rows, with its limits."""
        return compare_metrics(
            self.rows, self.base_threshold, self.head_threshold, decision, gate, self.day, self.weight
        )

    def slices(self, columns: list[str], gate: Gate, metric: str = "roc_auc") -> list[Comparison]:
        """A metric of each slice that has enough rows."""
        known = [name for name in columns if name in self.rows]
        return compare_slices(self.rows, known, gate, metric, self.day, self.weight)

    def differences(self, decision: Decision, gate: Gate) -> list[Comparison]:
        """What the report shows, with 95 % intervals and no limit."""
        return self.metrics(decision, shown(gate, self.compared))


def shown(gate: Gate, metrics: Sequence[str]) -> Gate:
    """The gate as the report uses it: for these metrics, intervals of 95 %, without a limit."""
    nothing = Tolerance(absolute=0.0, relative=0.0)
    return gate.model_copy(
        update={"metrics": dict.fromkeys(metrics, nothing), "slices": nothing, "confidence": CONFIDENCE}
    )


def unseen_rows(opened: Opened, base_files: dict[str, Path], slices: list[str]) -> Unseen | str:
    """The rows of the branch's test part that the base's champion was not fitted on, or why there are none.

    Args:
        opened: reads an output of the base.
        base_files: the files of the base's champion, by their paths in the checkout.
        slices: columns that are kept.
    """
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    if layout.time is None or not layout.key:
        return "the table has no time or no key"
    head = load_champion(paths.CHAMPION)
    with tempfile.TemporaryDirectory() as folder:
        base = _base_champion(base_files, Path(folder))
    rows = read_parquet(paths.split_rows("test"))
    if (base.manifest.task, base.manifest.classes) != (head.manifest.task, head.manifest.classes):
        return "the champions answer another question"
    lacking = [name for name in base.encoder.features if name not in rows]
    if lacking:
        return f"the base's champion needs {lacking[0]}, which the rows lack"
    fitted = pd.concat([_keys(opened, part, layout.key) for part in paths.FITTED_PARTS])
    seen = pd.MultiIndex.from_frame(rows[layout.key]).isin(pd.MultiIndex.from_frame(fitted))
    rows = rows[~seen & rows[layout.time].notna()].reset_index(drop=True)
    day, names = pd.factorize(rows[layout.time].dt.strftime("%Y-%m-%d"), sort=True)
    if len(names) < LEAST_DAYS:
        return f"{len(names)} days of rows are in neither champion's training; {LEAST_DAYS} are needed"
    with opened(paths.FEATURE_LAYOUT) as stream:
        weight = json.load(stream).get("weight")
    weight = weight if weight in rows else None
    kept = rows[[layout.target, *(name for name in dict.fromkeys([*slices, weight]) if name in rows)]].copy()
    of_base, of_head = (own(side, kept.columns) for side in SIDES)
    kept[of_base], kept[of_head] = as_column(_outputs(base, rows)), as_column(_outputs(head, rows))
    return Unseen(
        kept,
        day.astype(np.int64),
        [str(name) for name in names],
        base.manifest.threshold,
        head.manifest.threshold,
        judge_of(head.manifest.task).compared,
        weight,
    )


def is_same_champion(base_files: dict[str, Path]) -> bool:
    """Whether the base's champion is the branch's, by the hashes of its manifest."""
    path = paths.CHAMPION / MANIFEST
    return path.is_file() and base_files[str(path)].read_bytes() == path.read_bytes()


def _base_champion(files: dict[str, Path], folder: Path) -> Champion:
    for name, path in files.items():
        shutil.copyfile(path, folder / Path(name).name)
    return load_champion(folder)


def _keys(opened: Opened, part: str, key: list[str]) -> pd.DataFrame:
    with opened(paths.split_rows(part)) as stream:
        try:
            return pd.read_parquet(stream, columns=key)
        except (KeyError, ValueError):
            raise OntimeError(f"{paths.split_rows(part)} of the base: has not the key {', '.join(key)}") from None


def _outputs(champion: Champion, rows: pd.DataFrame) -> npt.NDArray[Any]:
    columns = {name: rows[name].to_numpy() for name in champion.encoder.features}
    return champion.predict(champion.encoder.transform(columns))
