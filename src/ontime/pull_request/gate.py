"""Decides whether a champion is significantly worse than another on the same rows, by more than a tolerance.

In: two sets of predictions with key, target and slices. Out: for each metric both values and a confidence interval of
the worsening, from the standard error of a paired bootstrap: both models are evaluated on the same resampled rows, so
variation that the rows have in common cancels (Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter
12). Where rows have days, whole days are resampled, because rows of a day are not independent.
A metric has regressed if its worsening exceeds the tolerance and the interval is above zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from ontime.common.arrays import Outputs, Target, Weights
from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET, own, own_in
from ontime.common.params import Count, Fraction, Section
from ontime.common.weights import weights_in
from ontime.model_evaluation.metrics import SLICE_ROWS
from ontime.model_evaluation.resampling import (
    LESS_IS_BETTER,
    OF_CLASSES,
    OF_NUMBERS,
    Score,
    Times,
    mean_of,
    resamples,
    score_of,
    weighted,
)
from ontime.model_evaluation.settings import Decision
from ontime.tasks.names import PROBABILITY
from ontime.tasks.task import from_column, target_of

ROW_NUMBER = "row number"
Metric = Literal[
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier_score",
    "cost_per_1000",
    "roc_auc_ovr",
    "accuracy",
    "f1_macro",
    "rmse",
    "mae",
    "r2",
]
SIDES = ("base", "head")
"""The column that pairs rows without a key."""


class Tolerance(Section):
    """How much worse than the base a metric may be: the larger of an absolute value and a share of the base."""

    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0)]


class Gate(Section):
    """A pull request fails if a validation metric of the champion is significantly worse, by more than its tolerance.

    The worsening's interval at `confidence` comes from `resamples` paired bootstrap resamples of the rows.
    """

    metrics: dict[Metric, Tolerance]
    slices: Tolerance
    slice_rows: Count
    confidence: Fraction
    resamples: Annotated[int, Field(ge=100)]
    seed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Comparison:
    """One metric of base and head; `low` to `high` is the confidence interval of the worsening (positive is worse)."""

    name: str
    base: float
    head: float
    low: float
    high: float
    allowed: float
    metric: str | None = None
    """What is compared, if the name is a slice's."""

    @property
    def worsening(self) -> float:
        """From base to head; negative where the head is better."""
        return _worsening(self.metric or self.name, self.base, self.head)

    @property
    def regressed(self) -> bool:
        """Whether it is significantly worse, by more than the tolerance."""
        return self.worsening > self.allowed and self.low > 0


@dataclass(frozen=True)
class Predictions:
    """A champion's validation rows with its outputs, any threshold or classes, and the columns of the rows' key.

    `weight` is the column of what each row counts, if they do not count the same.
    """

    rows: pd.DataFrame
    threshold: float | None
    key: tuple[str, ...]
    output: str = PROBABILITY
    """What the outputs are called."""
    classes: tuple[str, ...] = ()
    weight: str | None = None


def paired(base: Predictions, head: Predictions) -> tuple[pd.DataFrame, int]:
    """Rows that both have, with `base` and `head` outputs, and how many only one of them has.

    Slices and weights have the base's values where the base has the column, so that no row leaves its slice, and each
    counts as it did.

    Raises:
        OntimeError: no row is in both, or the keys or the tasks differ.
    """
    if base.output != head.output or base.classes != head.classes:
        raise OntimeError("gate: base and head answer another question; compare the metrics by hand")
    if base.key != head.key:
        raise OntimeError(
            f"gate: the row key changed from {_listed(base.key)} to {_listed(head.key)}; compare the metrics by hand"
        )
    key, left, right = list(head.key), base.rows, head.rows
    if not key:
        key = [own(ROW_NUMBER, [*left.columns, *right.columns])]
        left, right = left.reset_index(names=key[0]), right.reset_index(names=key[0])
    before, after = own_in(base.output, left.columns), own_in(head.output, right.columns)
    bases = [name for name in left if name not in (*key, before, own_in(TARGET, left.columns))]
    of_base, of_head = (own(word, [*left.columns, *right.columns]) for word in SIDES)
    both = (
        right.drop(columns=bases, errors="ignore")
        .rename(columns={after: of_head})
        .merge(left[[*key, *bases, before]].rename(columns={before: of_base}), on=key, validate="one_to_one")
    )
    if both.empty:
        raise OntimeError("gate: base and head have no validation row in common; compare the metrics by hand")
    return both, len(left) + len(right) - 2 * len(both)


def _listed(key: tuple[str, ...]) -> str:
    return ", ".join(key) or "none"


def compare_metrics(
    both: pd.DataFrame,
    base_threshold: float | None,
    head_threshold: float | None,
    decision: Decision,
    gate: Gate,
    day: Times | None = None,
    weight: str | None = None,
) -> list[Comparison]:
    """Compare every metric of the gate on the paired rows.

    Args:
        day: the number of each row's day (rows,); weight: the column of what each row counts.
    """
    target, weights = target_of(both), weights_in(both, weight)
    probabilities = [from_column(both[own_in(side, both.columns)]) for side in SIDES]
    thresholds = (base_threshold, head_threshold)
    comparisons = []
    for name, tolerance in gate.metrics.items():
        scores = [
            _score(name, target, probability, threshold, decision, weights)
            for probability, threshold in zip(probabilities, thresholds, strict=True)
        ]
        comparisons.append(_comparison(name, name, scores, _groups(len(target), day), tolerance, gate))
    return comparisons


def compare_slices(
    both: pd.DataFrame,
    slices: list[str],
    gate: Gate,
    metric: str = "roc_auc",
    day: Times | None = None,
    weight: str | None = None,
) -> list[Comparison]:
    """Compare a metric of every slice that has enough rows, on the paired rows."""
    comparisons = []
    for column, value, part in _slices(both, slices, gate.slice_rows):
        target = target_of(part)
        outputs = [from_column(part[own_in(side, part.columns)]) for side in SIDES]
        scores = [score_of(metric, target, one, weights_in(part, weight)) for one in outputs]
        group = _groups(len(target), None if day is None else day[both.index.get_indexer(part.index)])
        comparisons.append(_comparison(f"{column}={value}", metric, scores, group, gate.slices, gate))
    return comparisons


def _slices(both: pd.DataFrame, slices: list[str], least_rows: int) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for column in slices:
        for value, part in both.groupby(column, sort=True):
            if len(part) >= max(least_rows, SLICE_ROWS) and part[own_in(TARGET, part.columns)].nunique() > 1:
                yield column, str(value), part


def _groups(rows: int, day: Times | None) -> Times:
    """Which group each row (rows,) is drawn with: its own, or its day's, numbered from 0."""
    return np.arange(rows) if day is None else np.unique(day, return_inverse=True)[1]


def _comparison(
    name: str, metric: str, scores: Sequence[Score], group: Times, tolerance: Tolerance, gate: Gate
) -> Comparison:
    base, head = scores
    once = np.ones(len(group), dtype=np.int64)
    before, after = base(once), head(once)
    worse = [_worsening(metric, base(times), head(times)) for times in resamples(group, gate.resamples, gate.seed)]
    # not the quantiles of the resamples, because the outer ones of a few hundred are too noisy
    half = NormalDist().inv_cdf((1 + gate.confidence) / 2) * float(np.nanstd(worse, ddof=1))
    middle = _worsening(metric, before, after)
    allowed = max(tolerance.absolute, tolerance.relative * abs(before))
    return Comparison(name, before, after, middle - half, middle + half, allowed, metric)


def _worsening(name: str, base: float, head: float) -> float:
    return head - base if name in LESS_IS_BETTER else base - head


def _score(
    name: str,
    labels: Target,
    probability: Outputs,
    threshold: float | None,
    decision: Decision | None,
    weights: Weights | None = None,
) -> Score:
    """A metric as a function of how many times each row counts; costs per row are computed once."""
    if name != "cost_per_1000":
        return score_of(name, labels, probability, weights)
    if threshold is None or decision is None:
        known = OF_CLASSES if probability.ndim > 1 else OF_NUMBERS
        raise OntimeError(f"params.yaml: gate.metrics: {name}: needs a threshold; without one: {', '.join(known)}")
    event, warned = labels == 1, probability >= threshold
    cost = 1000 * (decision.false_alarm_cost * (warned & ~event) + decision.missed_event_cost * (~warned & event))
    return weighted(mean_of(cost), weights)
