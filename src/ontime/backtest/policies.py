"""When each policy would have fitted a model, which one it would have served, and what that one would have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from ontime.backtest.fits import AUC_DAYS, Fits, Fitted
from ontime.common.arrays import Probability
from ontime.model_evaluation.metrics import row_log_losses

PolicyName = Literal["never", "schedule", "label_alarm", "challenger", "significant_challenger"]
DEVIATIONS = 3
"""Standard deviations below its mean at which the ROC AUC of `AUC_DAYS` days is an alarm."""
RESAMPLES = 2000
CONFIDENCE = 0.95
TITLES = {
    "never": "never",
    "schedule": "every {} days",
    "label_alarm": "on a label alarm",
    "challenger": "challenger every {} days, promoted if its loss is lower",
    "significant_challenger": "challenger every {} days, promoted if significantly lower",
}


@dataclass(frozen=True)
class Policy:
    """When to fit, what is promoted, and whether a model learns from its validation days too."""

    name: PolicyName
    every_days: int | None
    refit: bool

    @property
    def title(self) -> str:
        """The policy in words."""
        return TITLES[self.name].format(self.every_days) + (", refitted" if self.refit else "")


@dataclass(frozen=True)
class Answers:
    """What the models in use said of the rows from the start on, and how many models were fitted."""

    probability: Probability
    warned: npt.NDArray[np.bool_]
    fits: int


def all_policies(every_days: Sequence[int]) -> list[Policy]:
    """Every policy without a refit and with it; `never` without it is first."""
    kinds: list[tuple[PolicyName, int | None]] = [("never", None), ("label_alarm", None)]
    for name in ("schedule", "challenger", "significant_challenger"):
        kinds += [(name, days) for days in every_days]
    return [Policy(name, days, refit) for name, days in kinds for refit in (False, True)]


def replay(policy: Policy, fits: Fits, start: date, end: date) -> Answers:
    """Serve day by day from `start` to the day before `end`, fitting as the policy says.

    Returns:
        Answers for the rows of these days, in the order of `Past`.
    """
    past, champion = fits.past, fits.at(start)
    probability = np.full(len(past.labels), np.nan)
    warned = np.zeros(len(past.labels), dtype=bool)
    made = 1
    for place in range((end - start).days):
        day = start + timedelta(days=place)
        if place and _due(policy, place, day, fits, champion, probability):
            challenger = fits.at(day)
            made += 1
            if _promoted(policy, fits, champion, challenger):
                champion = challenger
        rows = past.between(day, day + timedelta(days=1))
        probability[rows] = (champion.refitted if policy.refit else champion.measured)[rows]
        warned[rows] = probability[rows] >= champion.threshold
    shown = past.between(start, end)
    return Answers(probability[shown], warned[shown], made)


def _due(policy: Policy, place: int, day: date, fits: Fits, champion: Fitted, said: Probability) -> bool:
    """Whether a model is fitted on this day."""
    if policy.every_days:
        return place % policy.every_days == 0
    if policy.name != "label_alarm":
        return False
    end = day - timedelta(days=fits.label_days)
    first = end - timedelta(days=AUC_DAYS)
    if first < champion.day:
        return False
    rows = fits.past.between(first, end)
    labels = fits.past.labels[rows]
    mean, deviation = champion.usual_auc
    return len(np.unique(labels)) == 2 and roc_auc_score(labels, said[rows]) < mean - DEVIATIONS * deviation


def _promoted(policy: Policy, fits: Fits, champion: Fitted, challenger: Fitted) -> bool:
    """Whether the challenger is served.

    The measured models are compared on the challenger's validation days, which neither was fitted on; the refitted
    ones may have seen them.
    """
    if policy.name not in ("challenger", "significant_challenger"):
        return True
    rows = fits.validation_of(challenger.day)
    labels = fits.past.labels[rows]
    difference = row_log_losses(labels, challenger.measured[rows]) - row_log_losses(labels, champion.measured[rows])
    if policy.name == "challenger":
        return bool(difference.mean() < 0)
    return interval_by_days(fits.past.day[rows], difference)[1] < 0


def interval_by_days(day: npt.NDArray[np.datetime64], values: Probability, seed: int = 0) -> tuple[float, float]:
    """The interval of the mean of `values` (rows,) when whole days are resampled.

    Rows of one day depend on each other, so resampled rows would give far too short an interval.
    """
    days, group = np.unique(day, return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(0, len(days), (RESAMPLES, len(days)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
