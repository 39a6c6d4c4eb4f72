"""A challenger beside the champion: paired by days, by segment, in money, and what was left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET
from ontime.model_evaluation.settings import Decision
from ontime.parameters import load_params
from ontime.pull_request.challenger import left_out, policy, sections
from ontime.pull_request.gate import Gate
from ontime.pull_request.limits import split_section
from ontime.pull_request.unseen import Unseen

DECISION = Decision(false_alarm_cost=1.0, missed_event_cost=3.0)
DAYS, ROWS_A_DAY = 40, 60


@pytest.fixture
def gate() -> Gate:
    """The checkout's gate."""
    return load_params().gate.model_copy(update={"resamples": 300, "slice_rows": 200})


def unseen(better: float = 0.0, by_day: float = 0.0, seed: int = 0) -> Unseen:
    """Rows whose challenger knows the score better, or by days sometimes better and sometimes worse."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), ROWS_A_DAY)
    score = random.normal(size=len(day))
    target = (random.random(len(day)) < 1 / (1 + np.exp(-2 * score))).astype(np.int8)
    effect = better + by_day * random.normal(size=DAYS)[day]
    rows = pd.DataFrame(
        {
            TARGET: target,
            "depot": np.where(np.arange(len(day)) % 3 == 0, "a|<b>", "c"),
            "base": 1 / (1 + np.exp(-score)),
            "head": 1 / (1 + np.exp(-(1 + effect) * score)),
        }
    )
    names = [str(one.date()) for one in pd.date_range("2013-11-01", periods=DAYS)]
    return Unseen(rows, day, names, 0.25, 0.25)


def test_a_better_challenger_has_an_interval_below_zero_and_the_same_model_none(gate: Gate) -> None:
    loss = {one.name: one for one in unseen(better=0.8).differences(DECISION, gate)}["log_loss"]
    assert loss.head < loss.base
    assert loss.high < 0
    for one in unseen().differences(DECISION, gate):
        assert (one.low, one.high, one.regressed) == (0, 0, False)


def test_what_varies_by_day_has_a_wider_interval_by_days_than_by_rows(gate: Gate) -> None:
    found = unseen(by_day=0.8)
    by_days = found.differences(DECISION, gate)[0]
    by_rows = replace(found, day=np.arange(len(found.day))).differences(DECISION, gate)[0]
    assert by_days.worsening == by_rows.worsening
    assert by_days.high - by_days.low > 1.5 * (by_rows.high - by_rows.low)


def test_the_interval_by_days_is_that_of_the_days_own_means(gate: Gate) -> None:
    found = unseen(by_day=0.8)
    rows = found.rows
    loss = {
        name: -np.log(np.where(rows[TARGET] == 1, rows[name], 1 - rows[name])).astype(float)
        for name in ("base", "head")
    }
    means = pd.Series(loss["head"] - loss["base"]).groupby(found.day).mean()
    one = found.differences(DECISION, gate)[0]
    assert one.worsening == pytest.approx(means.mean())
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * means.std(ddof=1) / np.sqrt(DAYS), rel=0.15)


def test_a_worse_challenger_fails_the_gate_by_days_and_an_equal_one_passes(gate: Gate) -> None:
    assert [one.regressed for one in unseen(better=-0.9).metrics(DECISION, gate) if one.name == "log_loss"] == [True]
    assert not any(one.regressed for one in unseen().metrics(DECISION, gate))
    assert not any(one.regressed for one in unseen(better=0.5).metrics(DECISION, gate))


def test_the_report_has_days_segments_cost_and_what_was_left_out(gate: Gate) -> None:
    old = {"until": None, "excluded_days": ["2013-06-01"]}
    new = {"until": "2013-12-11T00:00:00Z", "excluded_days": ["2013-06-01", "2013-11-20"]}
    text = "\n\n".join(sections(unseen(better=0.5), ["depot", "gone"], DECISION, gate, old, new))
    assert "2,400 rows of 40 days from 2013-11-01 to 2013-12-10" in text
    assert "a false alarm 1, a missed event 3" in text
    rows = {line.split(" | ")[0][2:]: line for line in text.splitlines() if line.startswith("| ")}
    assert {"log loss", "ROC AUC", "cost per 1,000 rows", "depot=c", r"depot=a\|&lt;b>"} <= rows.keys()
    assert "Rows from 2013-12-11T00:00:00Z on are left out" in text
    assert "Quarantined days that are left out: 2013-06-01, 2013-11-20 (new)." in text


def test_the_interval_of_a_change_has_the_sign_of_the_change(gate: Gate) -> None:
    found = unseen(by_day=0.5, better=0.5)
    text = "\n".join(sections(found, [], DECISION, gate, {}, {}))
    for name in ("log loss", "ROC AUC"):
        (line,) = [one for one in text.splitlines() if one.startswith(f"| {name} |")]
        change, interval = line.split(" | ")[3:5]
        low, _, high = interval.removesuffix(" |").partition(" to ")
        assert float(low) <= float(change) <= float(high), line


def test_nothing_left_out_is_not_told_and_an_older_file_has_no_watermark() -> None:
    assert not left_out({}, split_section("split:\n  by: time\n"))
    assert split_section("- no\n") == split_section(": [") == {}
    assert split_section("split: {until: x}")["until"] == "x"


def test_what_the_backtest_printed_is_included(tmp_path: Path) -> None:
    assert not policy(None)
    (tmp_path / "table.md").write_text("| policy | fits |\n")
    assert policy(tmp_path / "table.md") == ["### What the backtest says of the policy", "| policy | fits |"]
    with pytest.raises(OntimeError, match=r"--backtest .*none\.md: not readable"):
        policy(tmp_path / "none.md")
