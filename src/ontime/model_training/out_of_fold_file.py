"""The file of a run with what models say of folds that they were not fitted on: `cross-validate` writes it.

It has the training rows, then the validation rows, in the order of their files; and none where `split.folds` is 1.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ontime.common import paths

FOLD = "fold"
"""Column of the fold's number, from 1 on; 0 is before the first window in time, and no model is asked for it."""


def path_of(model: str) -> Path:
    """The file of one family."""
    return paths.training_run(model) / "out_of_fold.parquet"


def fitted_for(number: int, fold: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows (rows,) the model that is asked for a fold is fitted on: all others, of windows the earlier ones."""
    return fold < number if (fold == 0).any() else fold != number
