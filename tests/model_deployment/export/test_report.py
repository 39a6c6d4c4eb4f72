"""The champion's report: its figures are those of the graph, it needs nothing else, and a person can read it."""

import re
from pathlib import Path

import pandas as pd
import pytest

from ontime.common.files import read_json
from ontime.data_processing.split import Split
from ontime.model_deployment.export.parts import MOST_MONTHS, period_names


@pytest.fixture
def page(fork: Path) -> str:
    return (fork / "models" / "champion" / "report.html").read_text(encoding="utf-8")


def test_the_page_has_the_figures_of_the_graph(fork: Path, page: str) -> None:
    test = read_json(fork / "models" / "refit" / "metrics" / "test.json")
    baseline = read_json(fork / "models" / "training_runs" / "group_rate" / "metrics" / "test.json")
    assert f"<td>{test['roc_auc']:.4f}</td><td>0.5000</td><td>{baseline['roc_auc']:.4f}</td>" in page
    assert f"On {test['rows']:,} test rows" in page
    validation = read_json(fork / "models" / "champion" / "manifest.json")["metrics"]["validation"]
    counts = [int(rows) for rows in re.findall(r"depot=[^<]+</th><td>validation</td><td>(\d+)</td>", page)]
    assert sum(counts) == validation["rows"]


def test_the_page_says_first_what_the_model_says(page: str) -> None:
    assert re.search(r'<h1>parcels</h1>\n<p class="first">This model predicts whether late is yes\.</p>', page)


def test_the_page_needs_nothing_else_and_has_no_date(fork: Path, page: str) -> None:
    assert not re.search(r"<script|src=|href=|url\(|@import|https?:", page)
    assert str(pd.Timestamp.now().year) not in page
    assert str(fork) not in page


def test_every_picture_has_a_title_of_its_own(page: str) -> None:
    keys = re.findall(r'aria-labelledby="([^"]+)"', page)
    assert len(keys) == page.count("<svg") == len(set(keys)) > 5
    assert re.findall(r'<title id="([^"]+)">[^<]+</title>', page) == keys


SPLIT = Split(
    by="time",
    validation_from="2013-10-01T04:00:00Z",
    test_from="2013-11-01T04:00:00Z",
    until=None,
    excluded_days=[],
    validation_fraction=0.1,
    test_fraction=0.1,
    seed=0,
    folds=1,
    min_category_rows=1,
)


def test_a_month_ends_where_the_split_ends_a_day() -> None:
    times = pd.Series(pd.to_datetime(["2013-11-01T03:59Z", "2013-11-01T04:00Z"]))
    assert period_names(times, SPLIT).tolist() == ["2013-10", "2013-11"]


def test_years_are_shown_where_there_are_too_many_months() -> None:
    times = pd.Series(pd.date_range("2010-01-15", periods=MOST_MONTHS + 1, freq="31D", tz="UTC"))
    assert set(period_names(times, SPLIT)) == {"2010", "2011", "2012"}
