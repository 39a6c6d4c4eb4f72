"""Policies of retraining on a past that is known: what is fitted when, which model answers, and what is printed."""

import contextlib
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ontime.backtest.backtest import command, summary
from ontime.backtest.fits import ALARM_DAYS, Fits, metric_of, past_of
from ontime.backtest.policies import Policy, all_policies, interval_by_days, replay
from ontime.backtest.tables import markdown
from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET, Layout
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.resampling import mean_of
from ontime.model_evaluation.settings import Decision
from ontime.model_training.logistic_regression import LogisticRegressionParameters
from ontime.model_training.recipe import Recipe
from ontime.tasks.binary import Binary
from tests.live import PARAMS

LAYOUT = Layout(["row"], "sent", ["weight"], ["depot"])
RECIPE = Recipe("logistic_regression", LogisticRegressionParameters(C=0.1, max_iter=50), 0, 1, Binary())
FIRST, START, END = date(2024, 1, 1), date(2024, 3, 11), date(2024, 5, 20)
TURN = date(2024, 4, 8)
"""From this day on the target follows the weight the other way round, where a test says so."""
ROWS = 40


def rows(turn: date | None = None) -> pd.DataFrame:
    """Forty rows a day whose target follows the weight."""
    random = np.random.default_rng(5)
    days = (END - FIRST).days
    weight = random.normal(size=days * ROWS)
    day = np.repeat(np.arange(days), ROWS)
    sign = np.where(day >= (turn - FIRST).days, -1, 1) if turn else 1
    target = random.random(len(weight)) < 1 / (1 + np.exp(-2 * sign * weight))
    minute = day * 24 * 60 + random.integers(0, 1440)
    return pd.DataFrame(
        {
            "row": np.arange(len(weight)),
            "sent": pd.Timestamp(FIRST, tz="UTC") + pd.to_timedelta(minute, unit="min"),
            "weight": weight,
            "depot": random.choice(["north", "south"], len(weight)),
            TARGET: target.astype(float),
        }
    )


def fits_of(frame: pd.DataFrame, layout: Layout = LAYOUT) -> tuple[Fits, list[str]]:
    """Fits on a frame, and the list of what is told of them."""
    told: list[str] = []
    decision = Decision(false_alarm_cost=1.0, missed_event_cost=1.0)
    with contextlib.chdir(PARAMS.parent):
        judge = judge_of("binary")
    return Fits(past_of(frame, layout), RECIPE, judge, "roc_auc", decision, 1, 21, 1, told.append), told


@pytest.fixture(scope="module")
def steady() -> Fits:
    return fits_of(rows())[0]


@pytest.fixture(scope="module")
def turned() -> Fits:
    return fits_of(rows(TURN))[0]


def loss(fits: Fits, policy: Policy) -> float:
    """Mean log loss of what a policy says from the start on."""
    shown = fits.past.between(START, END)
    return metric_of("log_loss", fits.past.target[shown], replay(policy, fits, START, END).outputs)


def test_a_fit_knows_no_label_that_was_unknown_on_its_day(steady: Fits) -> None:
    changed = rows()
    late = changed["sent"] >= pd.Timestamp(START - timedelta(days=1), tz="UTC")
    other, _ = fits_of(changed.assign(**{TARGET: changed[TARGET].mask(late, 1 - changed[TARGET])}))
    early = ~steady.past.between(START, END)
    known, changed_fit = steady.at(START), other.at(START)
    assert known.rule == changed_fit.rule
    for name in ("measured", "refitted"):
        np.testing.assert_array_equal(getattr(known, name), getattr(changed_fit, name))
    assert np.isnan(known.refitted[early]).all()
    asked = steady.past.between(START - timedelta(days=22), END)
    assert (np.isnan(known.measured) == ~asked).all()


def test_only_the_refitted_model_learns_from_validation_days(steady: Fits) -> None:
    changed = rows()
    part = steady.validation_of(START)
    other, _ = fits_of(changed.assign(**{TARGET: np.where(part, 1 - changed[TARGET], changed[TARGET])}))
    later = steady.past.between(START, END)
    same, differs = (getattr(other.at(START), name)[later] for name in ("measured", "refitted"))
    np.testing.assert_array_equal(same, steady.at(START).measured[later])
    assert (differs != steady.at(START).refitted[later]).mean() > 0.9


def test_a_schedule_fits_as_often_as_it_says_and_serves_the_newest(steady: Fits) -> None:
    said = replay(Policy("schedule", 14, False), steady, START, END)
    assert said.fits == 5
    shown = steady.past.between(START, END)
    for place in range(5):
        day = START + timedelta(days=14 * place)
        part = steady.past.between(day, day + timedelta(days=14))
        np.testing.assert_array_equal(said.outputs[part[shown]], steady.at(day).measured[part])
        assert set(said.threshold[part[shown]]) == {steady.at(day).rule["threshold"]}


def test_policies_share_their_fits() -> None:
    fits, told = fits_of(rows(TURN))
    found = summary([START, START + timedelta(days=14)], all_policies([14, 28]), fits, None)
    days = [line.partition(": ")[2] for line in told]
    assert len(days) == len(set(days)) < sum(row["fits"] for row in found["replays"][0]["periods"][0]["rows"])


def test_the_alarm_comes_when_the_model_gets_worse_and_not_before(steady: Fits, turned: Fits) -> None:
    alarm = Policy("label_alarm", None, False)
    assert replay(alarm, steady, START, END).fits == 1
    said, never = replay(alarm, turned, START, END), replay(Policy("never", None, False), turned, START, END)
    assert said.fits > 1
    day = turned.past.day[turned.past.between(START, END)][said.outputs != never.outputs].min().item()
    assert TURN < day <= TURN + timedelta(days=ALARM_DAYS + 1)


def test_a_challenger_that_is_worse_is_not_served(turned: Fits) -> None:
    never = loss(turned, Policy("never", None, False))
    schedule, challenger = loss(turned, Policy("schedule", 14, False)), loss(turned, Policy("challenger", 14, False))
    assert challenger < never
    said = replay(Policy("challenger", 14, False), turned, START, END)
    assert said.fits == 5
    assert abs(challenger - schedule) < abs(never - schedule)


def test_a_significant_challenger_is_promoted_no_more_often(steady: Fits) -> None:
    significant = replay(Policy("significant_challenger", 14, False), steady, START, END)
    never = replay(Policy("never", None, False), steady, START, END)
    assert significant.fits == 5
    np.testing.assert_array_equal(significant.outputs, never.outputs)


def test_the_interval_counts_days_and_not_rows() -> None:
    random = np.random.default_rng(0)
    day = np.repeat(np.arange(50), 100).astype("datetime64[D]")
    values = np.repeat(random.normal(size=50), 100)
    low, high = interval_by_days(day, mean_of(values), mean_of(np.zeros(len(values))))
    width = 2 * 1.96 * values.std() / np.sqrt(50)
    assert high - low == pytest.approx(width, rel=0.1)
    assert low < values.mean() < high


def test_days_from_the_end_of_the_deciding_ones_on_decide_nothing(turned: Fits) -> None:
    policies = all_policies([14])
    found = summary([START], policies, turned, TURN)
    decides, shows = found["replays"][0]["periods"]
    assert (decides["first"], decides["last"]) == (str(START), str(TURN - timedelta(days=1)))
    assert (shows["first"], shows["last"]) == (str(TURN), str(END - timedelta(days=1)))
    best = min(decides["rows"], key=lambda row: row["log_loss"])["policy"]
    assert Policy(found["best"]["policy"], found["best"]["every_days"], found["best"]["refit"]).title == best
    shown = turned.past.between(TURN, END)
    said = turned.at(START).measured[shown]
    assert shows["rows"][0]["log_loss"] == pytest.approx(
        metric_of("log_loss", turned.past.target[shown], said), abs=1e-6
    )
    assert best in markdown(found).splitlines()[-1]


def test_a_row_of_weight_two_counts_as_two_rows_and_one_of_weight_zero_as_none() -> None:
    frame = rows(TURN)
    frame["parcels"] = np.random.default_rng(6).integers(0, 3, len(frame)).astype(float)
    weighted, _ = fits_of(frame, replace(LAYOUT, weight="parcels"))
    repeated, _ = fits_of(frame.loc[frame.index.repeat(frame["parcels"].astype(int))])
    policies = all_policies([28])
    found, wanted = (summary([START], policies, fits, TURN) for fits in (weighted, repeated))
    assert found["best"] == wanted["best"]
    unweighted = summary([START], policies, fits_of(frame)[0], TURN)
    for one, other, counted_once in zip(*(figures_of(each) for each in (found, wanted, unweighted)), strict=True):
        assert one == {name: pytest.approx(value, abs=2e-6) for name, value in other.items()}
        assert abs(one["log_loss"] - counted_once["log_loss"]) > 1e-3


def figures_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of all tables."""
    return [row for one in found["replays"] for period in one["periods"] for row in period["rows"]]


def test_too_early_and_too_late_a_start_and_a_table_without_time_are_refused(steady: Fits) -> None:
    policies = all_policies([14])
    with pytest.raises(
        OntimeError,
        match=r"^backtest: 2024-01-10: the training part before it has 0 rows of the rarer class and needs 5$",
    ):
        summary([date(2024, 1, 10)], policies, steady, None)
    with pytest.raises(OntimeError, match=r"^backtest: --start 2024-06-01: not before the last day that decides"):
        summary([date(2024, 6, 1)], policies, steady, None)
    with pytest.raises(OntimeError, match=r"^backtest: the table has no time"):
        past_of(rows(), Layout(["row"], None, ["weight"], ["depot"]))


def test_the_command_prints_tables_of_the_forks_past_and_writes_them(
    fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fork)
    arguments = ["--start", "2024-01-09", "--every-days", "2", "--validation-days", "3"]
    done = CliRunner().invoke(command, [*arguments, "--output", str(tmp_path / "found.json")], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert done.stdout == markdown(found) + "\n"
    assert len(found["replays"][0]["periods"][0]["rows"]) == 10
