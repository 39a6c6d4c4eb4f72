"""Models as they would have been fitted on a day of the past, each made once however many policies ask for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.common.weights import counted_target, weights_at, weights_in
from ontime.data_processing.split import vocabulary_of
from ontime.encoder import Encoder
from ontime.model_evaluation.judge import Judge, Rule
from ontime.model_evaluation.metrics import as_stored
from ontime.model_evaluation.resampling import score_of
from ontime.model_evaluation.settings import Decision
from ontime.model_training.families import Family, family
from ontime.model_training.recipe import Recipe
from ontime.model_training.rows import encoded, fit_rows
from ontime.tasks.task import target_of

ALARM_DAYS = 7
"""Days of which one value of the metric is taken that an alarm looks at: every day of the week once."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Past:
    """Labelled rows with a time, in its order, the UTC day of each (rows,), and any weight of each (rows,)."""

    rows: pd.DataFrame
    day: npt.NDArray[np.datetime64]
    target: Target
    layout: Layout
    weights: Weights | None = None

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
    return Past(rows, day, target_of(rows), layout, weights_in(rows, layout.weight))


@dataclass(frozen=True)
class Fitted:
    """What the two models of one day say of the rows of `Past`; NaN where a model may not be asked."""

    day: date
    measured: Outputs
    """Of the model that validation days stopped, for these days and all later ones."""
    refitted: Outputs
    """Of its family fitted once more on these days too, for the day itself and all later ones."""
    rule: Rule
    """What the validation days chose, such as a threshold."""
    usual: tuple[float, float]
    """Mean and standard deviation of the metric of `ALARM_DAYS` days, over the validation days."""


@dataclass
class Fits:
    """Fits by day; `label_days` before a day its labels are known.

    `metric` is what an alarm looks at, `decision` what the mistakes cost of a model that has a threshold.
    """

    past: Past
    recipe: Recipe
    judge: Judge
    metric: str
    decision: Decision
    least_rows: int
    validation_days: int
    label_days: int
    tell: Callable[[str], None]
    _made: dict[date, Fitted] = field(default_factory=dict)

    def at(self, day: date) -> Fitted:
        """What a fit on this day gives, by labels known then; the newest days stop it and choose the rule."""
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
            if fault := recipe.task.fault(counted_target(past.rows[mask], past.layout.target, past.layout.weight)):
                raise OntimeError(f"backtest: {day}: the {name} part before it has {fault}")
        encoder = Encoder.from_vocabulary(
            vocabulary_of(past.rows[train], past.rows[train], past.layout, self.least_rows, recipe.task)
        )
        matrix, target = encoded(past.rows, encoder)
        kind = family(recipe.family, recipe.task)
        fitted_on, checked, both = (
            fit_rows(matrix[part], target[part], weights_at(past.weights, part))
            for part in (train, validation, train | validation)
        )
        setting = recipe.setting(encoder)
        model, history = kind.fit(fitted_on, checked, setting)
        again = kind.fit_all(both, setting, kind.kept_steps(history))
        measured = _answers(model, matrix, past.day >= first)
        said, weights = measured[validation], weights_at(past.weights, validation)
        rule = self.judge.rule(target[validation], said, weights)
        windows = metric_windows(self.metric, past.day[validation], target[validation], said, weights)
        usual = (float(np.mean(windows)), float(np.std(windows))) if windows else (np.nan, np.nan)
        return Fitted(day, measured, _answers(again, matrix, past.day >= np.datetime64(day)), rule, usual)


def _answers(model: Family, matrix: npt.NDArray[np.float32], asked: Mask) -> Outputs:
    said = as_stored(model.predict(matrix[asked]))
    found = np.full((len(matrix), *said.shape[1:]), np.nan)
    found[asked] = said
    return found


def metric_windows(
    name: str, day: npt.NDArray[Any], target: Target, outputs: Outputs, weights: Weights | None = None
) -> list[float]:
    """A metric of every `ALARM_DAYS` days in a row, but where their rows do not have it."""
    days = np.unique(day)
    found = []
    for first, last in zip(days, days[ALARM_DAYS - 1 :], strict=False):
        part = (day >= first) & (day <= last)
        found.append(metric_of(name, target[part], outputs[part], weights_at(weights, part)))
    return [value for value in found if value == value]


def metric_of(name: str, target: Target, outputs: Outputs, weights: Weights | None = None) -> float:
    """A metric of some rows; NaN where they do not have it, such as an ROC AUC of rows of one class."""
    if not len(target):
        return float("nan")
    return score_of(name, target, outputs, weights)(np.ones(len(target), dtype=np.int64))
