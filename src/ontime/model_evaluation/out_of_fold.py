"""What models say of the rows of folds that they were not fitted on, and a metric over the folds.

In: `out_of_fold.parquet` of every run, and for the baselines training and validation rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ontime.common import paths
from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.files import column_names, read_parquet
from ontime.common.layout import own_in
from ontime.common.weights import weight_column, weights_at, weights_in
from ontime.model_evaluation.baseline_answers import answers_of, read_rows
from ontime.model_evaluation.resampling import Score, Times, score_of
from ontime.model_training.out_of_fold_file import FOLD, fitted_for, path_of
from ontime.tasks.task import Task, from_column, target_of


@dataclass(frozen=True)
class OutOfFold:
    """What each run and baseline says of the rows that models were asked for: `fold` and `target` (rows,)."""

    fold: Times
    target: Target
    answers: dict[str, Outputs]
    place: npt.NDArray[np.intp]
    """Of each row (rows,) among the training and validation rows."""
    weights: Weights | None = None
    """What each row counts (rows,)."""

    def by_fold(self, metric: str, name: str) -> list[float]:
        """A metric of a run or baseline on each fold."""
        return [score(np.ones(len(rows), dtype=np.int64)) for rows, score in self._parts(metric, name)]

    def score(self, metric: str, name: str) -> Score:
        """The mean of a metric over the folds that have it, each counting by the rows in it, or their weights.

        Not that of all rows at once, which compares what different models say (Forman and Scholz 2010,
        "Apples-to-apples in cross-validation studies").
        """
        parts = self._parts(metric, name)

        def score(times: Times) -> float:
            counted = times if self.weights is None else times * self.weights
            rows = np.array([counted[place].sum() for place, _ in parts])
            found = np.array([one(times[place]) if counted[place].any() else np.nan for place, one in parts])
            known = ~np.isnan(found)
            return float((rows * found)[known].sum() / rows[known].sum()) if known.any() else float("nan")

        return score

    def _parts(self, metric: str, name: str) -> list[tuple[npt.NDArray[np.intp], Score]]:
        places = [np.flatnonzero(self.fold == number) for number in np.unique(self.fold)]
        target, answers, weights = self.target, self.answers[name], self.weights
        return [
            (place, score_of(metric, target[place], answers[place], weights_at(weights, place))) for place in places
        ]


def read_out_of_fold(families: Iterable[str], group: list[str], task: Task) -> OutOfFold | None:
    """What runs say by their files, and baselines by the same rows; None where the validation rows alone choose.

    Args:
        group: the columns of `evaluate.baseline_group`.
    """
    runs, fold = {}, np.array([], dtype=np.int64)
    for name in families:
        names = column_names(path_of(name))
        columns = [own_in(FOLD, names), own_in(task.output, names)]
        frame = read_parquet(path_of(name), columns=columns)
        if frame.empty:
            return None
        fold = frame[columns[0]].to_numpy()
        runs[name] = from_column(frame[columns[1]])
    weight = weight_column()
    rows = read_rows(paths.FITTED_PARTS, group, weight)
    baselines = {name: np.full_like(next(iter(runs.values())), np.nan) for name in task.baselines}
    for number in range(1, int(fold.max()) + 1):
        asked = fold == number
        for name, outputs in answers_of(rows[fitted_for(number, fold)], rows[asked], group, task, weight).items():
            baselines[name][asked] = outputs
    place = np.flatnonzero(fold)
    answers = {name: outputs[place] for name, outputs in {**baselines, **runs}.items()}
    weights = weights_at(weights_in(rows, weight), place)
    return OutOfFold(fold[place], target_of(rows)[place], answers, place, weights)
