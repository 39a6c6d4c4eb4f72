"""How many of a day's rows each segment has, and how much is missing in them.

Segments are the known values of the columns that `evaluate.slices` names, as far as they are categories of the model.
Their inputs are told, not judged: with limits of its own for each segment's inputs, measured as those of all rows are,
this project's own sound data raises an alarm on nearly every day, because a small segment's day has few rows, and the
reference is fourteen times as large.
"""

from typing import Any

import numpy as np

from ontime.common.arrays import Matrix
from ontime.encoder import Encoder
from ontime.model_deployment.export.rounding import rounded
from ontime.monitoring.logged_rows import missing_values

OTHERS = ("(unknown)", "(missing)")
"""Names of the encoder's first two codes."""


class Segments:
    """Counts by segment; `slices` are columns, of which those are left out that are no category of the model."""

    def __init__(self, encoder: Encoder, slices: list[str]) -> None:
        self.encoder = encoder
        self.columns = {name: encoder.features.index(name) for name in slices if name in encoder.categories}
        sizes = dict(zip(encoder.categories, encoder.category_sizes, strict=True))
        self.rows = {name: np.zeros(sizes[name], dtype=np.int64) for name in self.columns}
        self.missing = {name: np.zeros((sizes[name], len(encoder.features)), dtype=np.int64) for name in self.columns}

    def count(self, matrix: Matrix) -> None:
        """Add encoded rows (rows, features)."""
        missing = missing_values(matrix, self.encoder)
        some = np.flatnonzero(missing.any(axis=0))
        for name, column in self.columns.items():
            code, size = matrix[:, column].astype(np.int64), len(self.rows[name])
            self.rows[name] += np.bincount(code, minlength=size)
            for feature in some:
                self.missing[name][:, feature] += np.bincount(code[missing[:, feature]], minlength=size)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """By segment, such as `carrier=UA`: rows, their share, the share of values that are missing, and the input of
        which most are missing beyond its share in all rows."""
        found: dict[str, dict[str, Any]] = {}
        for name, rows in self.rows.items():
            everywhere = self.missing[name].sum(axis=0) / max(1, rows.sum())
            for code in np.flatnonzero(rows):
                shares = self.missing[name][code] / rows[code]
                most = int(np.argmax(shares - everywhere))
                found[f"{name}={(*OTHERS, *self.encoder.categories[name])[code]}"] = {
                    "rows": int(rows[code]),
                    "share": rounded(rows[code] / rows.sum()),
                    "missing": rounded(shares.mean()),
                    "most_missing": {"input": self.encoder.features[most], "missing": rounded(shares[most])}
                    if shares[most] > everywhere[most]
                    else None,
                }
        return found
