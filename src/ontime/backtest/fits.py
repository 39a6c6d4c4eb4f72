"""Models as they would have been fitted on a day of the past, each made once however many policies ask for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from ontime.common.arrays import Labels, Probability
from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.data_processing.split import vocabulary_of
from ontime.encoder import Encoder
from ontime.model_evaluation.metrics import as_stored, best_threshold
from ontime.model_evaluation.settings import Decision
from ontime.model_training.families import Family, family
from ontime.model_training.recipe import Recipe
from ontime.model_training.rows import encoded

AUC_DAYS = 7
"""Days of which one ROC AUC is taken: every day of the week once."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Past:
    """Labelled rows with a time, in its order, and the UTC day of each (rows,)."""

    rows: pd.DataFrame
    day: npt.NDArray[np.datetime64]
    labels: Labels
    layout: Layout

    def between(self, first: date, end: date) -> Mask:
        """The rows of days from `first` to the one before `end`."""
        return (self.day >= np.datetime64(first)) & (self.day < np.datetime64(end))


def past_of(rows: pd.DataFrame, layout: Layout) -> Past:
    """The labelled rows with a time.

    Raises:
        OntimeError: the table has no column of times.
    """
    if layout.time is None:
        raise OntimeError("backtest: the table has no time; set data.options.time in params.yaml")
    rows = rows[rows[layout.target].notna() & rows[layout.time].notna()].sort_values(layout.time, kind="stable")
    rows = rows.reset_index(drop=True)
    day = rows[layout.time].to_numpy(dtype="datetime64[D]")
    return Past(rows, day, rows[layout.target].to_numpy(dtype=np.int8), layout)


@dataclass(frozen=True)
class Fitted:
    """What the two models of one day say of the rows of `Past`; NaN where a model may not be asked."""

    day: date
    measured: Probability
    """Of the model that validation days stopped, for these days and all later ones."""
    refitted: Probability
    """Of its family fitted once more on these days too, for the day itself and all later ones."""
    threshold: float
    usual_auc: tuple[float, float]
    """Mean and standard deviation of the ROC AUC of `AUC_DAYS` days, over the validation days."""


@dataclass
class Fits:
    """Fits by day; `label_days` before a day its labels are known."""

    past: Past
    recipe: Recipe
    decision: Decision
    least_rows: int
    validation_days: int
    label_days: int
    tell: Callable[[str], None]
    _made: dict[date, Fitted] = field(default_factory=dict)

    def at(self, day: date) -> Fitted:
        """What a fit on this day gives, by labels known then; the newest days stop it and choose the threshold."""
        if day not in self._made:
            self.tell(f"fit {len(self._made) + 1}: {day}")
            self._made[day] = self._fit(day)
        return self._made[day]

    def validation_of(self, day: date) -> Mask:
        """The rows that stop a fit on this day."""
        return self.past.between(self._first_validation_day(day), day - timedelta(days=self.label_days))

    def _first_validation_day(self, day: date) -> date:
        return day - timedelta(days=self.label_days + self.validation_days)

    def _fit(self, day: date) -> Fitted:
        past, recipe = self.past, self.recipe
        first = np.datetime64(self._first_validation_day(day))
        train, validation = past.day < first, self.validation_of(day)
        for name, mask in (("training", train), ("validation", validation)):
            if len(np.unique(past.labels[mask])) < 2:
                raise OntimeError(f"backtest: {day}: {int(mask.sum())} {name} rows before it, not both classes")
        encoder = Encoder.from_vocabulary(
            vocabulary_of(past.rows[train], past.rows[train], past.layout, self.least_rows, recipe.task)
        )
        matrix, labels = encoded(past.rows, encoder)
        kind = family(recipe.family)
        checked = (matrix[validation], labels[validation])
        setting = recipe.setting(encoder)
        model, history = kind.fit((matrix[train], labels[train]), checked, setting)
        both = train | validation
        again = kind.fit_all((matrix[both], labels[both]), setting, kind.kept_steps(history))
        measured = _answers(model, matrix, past.day >= first)
        threshold = best_threshold(checked[1], measured[validation], self.decision)
        windows = auc_windows(past.day[validation], checked[1], measured[validation])
        usual = (float(np.mean(windows)), float(np.std(windows))) if windows else (0.0, 0.0)
        return Fitted(day, measured, _answers(again, matrix, past.day >= np.datetime64(day)), threshold, usual)


def _answers(model: Family, matrix: npt.NDArray[np.float32], asked: Mask) -> Probability:
    found = np.full(len(matrix), np.nan)
    if asked.any():
        found[asked] = as_stored(model.predict(matrix[asked]))
    return found


def auc_windows(day: npt.NDArray[Any], labels: Labels, probability: Probability) -> list[float]:
    """ROC AUC of every `AUC_DAYS` days in a row that have rows of both classes."""
    days = np.unique(day)
    found = []
    for first, last in zip(days, days[AUC_DAYS - 1 :], strict=False):
        part = (day >= first) & (day <= last)
        if len(np.unique(labels[part])) == 2:
            found.append(float(roc_auc_score(labels[part], probability[part])))
    return found
