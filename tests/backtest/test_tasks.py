"""Policies on a past of classes and of numbers: judged in the task's own loss, as those of events are."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from ontime.backtest.backtest import summary
from ontime.backtest.fits import ALARM_DAYS, Fits, metric_of, past_of
from ontime.backtest.policies import Policy, all_policies, replay
from ontime.backtest.tables import markdown
from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET, Layout
from ontime.common.params import Section
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.settings import Decision
from ontime.model_training.linear_regression import LinearRegressionParameters
from ontime.model_training.logistic_regression import LogisticRegressionParameters
from ontime.model_training.recipe import Recipe
from ontime.tasks.task import Task, task_of

LAYOUT = Layout(["row"], "sent", ["weight"], ["depot"])
FIRST, START, END = date(2024, 1, 1), date(2024, 3, 11), date(2024, 5, 20)
TURN = date(2024, 4, 8)
"""From this day on the target follows the weight the other way round, where a test says so."""
ROWS = 60
NEVER, ALARM = Policy("never", None, False), Policy("label_alarm", None, False)
SCHEDULE, CHALLENGER = Policy("schedule", 14, False), Policy("challenger", 14, False)


@dataclass(frozen=True)
class Asked:
    """A task, a family of it with parameters, the metric that chooses the champion, and the columns of a table."""

    task: Task
    family: str
    parameters: Section
    metric: str
    columns: str


ASKED = {
    "multiclass": Asked(
        task_of("multiclass", ["light", "middle", "heavy"]),
        "logistic_regression",
        LogisticRegressionParameters(C=0.1, max_iter=50),
        "log_loss",
        "| policy | fits | log loss | mean ROC AUC of each class against the others | accuracy "
        "| mean F1 of the classes | log loss against never [95%] |",
    ),
    "regression": Asked(
        task_of("regression"),
        "linear_regression",
        LinearRegressionParameters(alpha=1.0),
        "rmse",
        "| policy | fits | RMSE | MAE | R2 | RMSE against never [95%] |",
    ),
}


def rows(asked: Asked, turn: date | None = None) -> pd.DataFrame:
    """Rows whose target follows the weight."""
    random = np.random.default_rng(4)
    days = (END - FIRST).days
    weight = random.normal(size=days * ROWS)
    day = np.repeat(np.arange(days), ROWS)
    sign = np.where(day >= (turn - FIRST).days, -1, 1) if turn else 1
    target = 50_000 + 10_000 * (sign * weight + random.normal(size=len(weight)))
    if asked.task.classes:
        target = np.digitize(target, [45_000, 55_000]).astype(float)
    minute = day * 24 * 60 + random.integers(0, 1440, len(weight))
    return pd.DataFrame(
        {
            "row": np.arange(len(weight)),
            "sent": pd.Timestamp(FIRST, tz="UTC") + pd.to_timedelta(minute, unit="min"),
            "weight": weight,
            "depot": random.choice(["north", "south"], len(weight)),
            TARGET: target,
        }
    )


def fits_of(asked: Asked, frame: pd.DataFrame) -> Fits:
    task = asked.task
    recipe = Recipe(asked.family, asked.parameters, 0, 1, task)
    told: list[str] = []
    judge, costs = judge_of(task.name, task.classes), Decision(false_alarm_cost=1.0, missed_event_cost=1.0)
    return Fits(past_of(frame, LAYOUT), recipe, judge, asked.metric, costs, 1, 21, 1, told.append)


@pytest.fixture(scope="module", params=ASKED)
def asked(request: pytest.FixtureRequest) -> Asked:
    """One task after the other."""
    return ASKED[request.param]


@pytest.fixture(scope="module")
def steady(asked: Asked) -> Fits:
    return fits_of(asked, rows(asked))


@pytest.fixture(scope="module")
def turned(asked: Asked) -> Fits:
    return fits_of(asked, rows(asked, TURN))


def loss(fits: Fits, policy: Policy) -> float:
    """The task's loss of what a policy says from the start on."""
    shown = fits.past.between(START, END)
    said = replay(policy, fits, START, END)
    assert np.isnan(said.threshold).all()
    return metric_of(fits.recipe.task.loss_name, fits.past.target[shown], said.outputs)


def test_a_fit_knows_no_label_that_was_unknown_on_its_day(asked: Asked, steady: Fits) -> None:
    changed = rows(asked)
    late = changed["sent"] >= pd.Timestamp(START - timedelta(days=1), tz="UTC")
    other = fits_of(asked, changed.assign(**{TARGET: changed[TARGET].mask(late, changed[TARGET].iloc[0])}))
    for name in ("measured", "refitted"):
        np.testing.assert_array_equal(getattr(steady.at(START), name), getattr(other.at(START), name))


def test_the_alarm_comes_when_the_model_gets_worse_and_not_before(steady: Fits, turned: Fits) -> None:
    assert replay(ALARM, steady, START, END).fits == 1
    said, never = replay(ALARM, turned, START, END), replay(NEVER, turned, START, END)
    assert said.fits > 1
    other = (said.outputs != never.outputs).reshape(len(said.outputs), -1).any(axis=1)
    day = turned.past.day[turned.past.between(START, END)][other].min().item()
    assert TURN < day <= TURN + timedelta(days=ALARM_DAYS + 1)


def test_new_fits_are_worth_their_loss_where_the_past_turned(turned: Fits) -> None:
    never = loss(turned, NEVER)
    for policy in (SCHEDULE, CHALLENGER):
        assert loss(turned, policy) < never, policy.title
    assert replay(CHALLENGER, turned, START, END).fits == 5


def test_a_significant_challenger_is_not_promoted_without_a_reason(steady: Fits) -> None:
    significant = replay(Policy("significant_challenger", 14, False), steady, START, END)
    assert significant.fits == 5
    np.testing.assert_array_equal(significant.outputs, replay(NEVER, steady, START, END).outputs)


def test_the_table_has_the_tasks_own_figures_and_the_difference_in_its_loss(asked: Asked, turned: Fits) -> None:
    found = summary([START], all_policies([14]), turned, None)
    (period,) = found["replays"][0]["periods"]
    name = asked.task.loss_name
    never, *others = period["rows"]
    shown = turned.past.between(START, END)
    by_hand = asked.task.loss(turned.past.target[shown], turned.at(START).measured[shown])
    assert never[name] == pytest.approx(by_hand, rel=1e-5)
    assert (never["difference"], never["low"], never["high"]) == (0, 0, 0)
    for row in others:
        assert row["difference"] == pytest.approx(row[name] - never[name], abs=1e-5 * never[name])
        assert row["low"] < row["difference"] < row["high"] or "never" in row["policy"]
    best = min(period["rows"], key=lambda row: row[name])["policy"]
    text = markdown(found)
    assert asked.columns in text
    assert text.splitlines()[-1].endswith(f" on the days that decide: {best}.")


def test_too_early_a_start_is_one_line(steady: Fits) -> None:
    with pytest.raises(OntimeError, match=r"^backtest: 2024-01-10: the training part before it has 0 [^\n]+$"):
        summary([date(2024, 1, 10)], all_policies([14]), steady, None)
