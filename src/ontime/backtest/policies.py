"""When each policy would have fitted a model, which one it would have served, and what that one would have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from ontime.backtest.fits import ALARM_DAYS, Fits, Fitted, metric_of
from ontime.common.arrays import Outputs
from ontime.common.weights import weights_at
from ontime.model_evaluation.binary_judge import THRESHOLD
from ontime.model_evaluation.resampling import LESS_IS_BETTER, Score, resamples, score_of

PolicyName = Literal["never", "schedule", "label_alarm", "challenger", "significant_challenger"]
DEVIATIONS = 3
"""Standard deviations from its mean, to the worse side, at which the metric of `ALARM_DAYS` days is an alarm."""
RESAMPLES, SEED = 2000, 0
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
    """What the models in use said of the rows from the start on, and how many models were fitted.

    `threshold` (rows,) is that of each row's model, NaN where it has none.
    """

    outputs: Outputs
    threshold: npt.NDArray[np.float64]
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
    outputs = np.full_like(champion.measured, np.nan)
    threshold = np.full(len(outputs), np.nan)
    made = 1
    for place in range((end - start).days):
        day = start + timedelta(days=place)
        if place and _due(policy, place, day, fits, champion, outputs):
            challenger = fits.at(day)
            made += 1
            if _promoted(policy, fits, champion, challenger):
                champion = challenger
        rows = past.between(day, day + timedelta(days=1))
        outputs[rows] = (champion.refitted if policy.refit else champion.measured)[rows]
        threshold[rows] = champion.rule.get(THRESHOLD, np.nan)
    shown = past.between(start, end)
    return Answers(outputs[shown], threshold[shown], made)


def _due(policy: Policy, place: int, day: date, fits: Fits, champion: Fitted, said: Outputs) -> bool:
    """Whether a model is fitted on this day."""
    if policy.every_days:
        return place % policy.every_days == 0
    if policy.name != "label_alarm":
        return False
    end = day - timedelta(days=fits.label_days)
    first = end - timedelta(days=ALARM_DAYS)
    if first < champion.day:
        return False
    rows = fits.past.between(first, end)
    mean, deviation = champion.usual
    found = metric_of(fits.metric, fits.past.target[rows], said[rows], weights_at(fits.past.weights, rows))
    worse = (found - mean) * (1 if fits.metric in LESS_IS_BETTER else -1)
    return worse > DEVIATIONS * deviation


def _promoted(policy: Policy, fits: Fits, champion: Fitted, challenger: Fitted) -> bool:
    """Whether the challenger is served.

    The measured models are compared on the challenger's validation days, which neither was fitted on; the refitted
    ones may have seen them.
    """
    if policy.name not in ("challenger", "significant_challenger"):
        return True
    rows, loss = fits.validation_of(challenger.day), fits.recipe.task.loss_name
    target, weights = fits.past.target[rows], weights_at(fits.past.weights, rows)
    if policy.name == "challenger":
        new, old = (metric_of(loss, target, one.measured[rows], weights) for one in (challenger, champion))
        return new < old
    new_score, old_score = (score_of(loss, target, one.measured[rows], weights) for one in (challenger, champion))
    return interval_by_days(fits.past.day[rows], new_score, old_score)[1] < 0


def interval_by_days(day: npt.NDArray[np.datetime64], one: Score, other: Score) -> tuple[float, float]:
    """The interval of the difference of two metrics of the same rows when whole days are resampled.

    Rows of one day depend on each other, so resampled rows would give far too short an interval.

    Args:
        day: of each row (rows,).
    """
    _, group = np.unique(day, return_inverse=True)
    differences = [one(times) - other(times) for times in resamples(group, RESAMPLES, SEED)]
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
