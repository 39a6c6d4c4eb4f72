"""The report of a retraining whose split moved with the watermark, on a graph with time that has run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.checkouts import commit, copy_checkout, git, reproduce, run
from tests.commands import make_small
from tests.forge import WEAK, set_parameters

pytestmark = pytest.mark.integration
DAYS, ROWS_A_DAY = 100, 25
WATERMARK, EXCLUDED = "2024-04-10T00:00:00Z", ["2024-03-01", "2024-04-01"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fork with a row key and a time, whose model of `main` was trained on the first 70 days."""
    top = copy_checkout(tmp_path_factory.mktemp("challenger") / "checkout")
    random = np.random.default_rng(4)
    count = DAYS * ROWS_A_DAY
    size = random.normal(size=count)
    table = pd.DataFrame(
        {
            "parcel": [f"p{number}" for number in range(count)],
            "sent": [_moment(number) for number in range(count)],
            "size": size,
            "depot": random.choice(["north", "south"], count),
            "late": (random.random(count) < 1 / (1 + np.exp(1 - 2 * size))).astype(int),
        }
    )
    (top / "data" / "external").mkdir(parents=True, exist_ok=True)
    table.to_csv(top / "data" / "external" / "parcels.csv", index=False)
    (top / "dvc.lock").unlink()
    options = ["--target=late", "--time=sent", "--key=parcel", "--no-run"]
    run("ontime", "init", "--source", "data/external/parcels.csv", *options, cwd=top)
    make_small(top / "params.yaml")
    for family, values in {**WEAK, "gradient_boosting": {"max_iter": 10}}.items():
        set_parameters(top, f"train.{family}", **values)
    boundaries = {"validation_from": "2024-02-20", "test_from": "2024-03-01", "until": "2024-03-11"}
    set_parameters(top, "split", **boundaries)
    set_parameters(top, "gate", slice_rows=100)
    reproduce(top)
    commit(top, "graph")
    yield top


def _moment(number: int) -> str:
    day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=number // ROWS_A_DAY)
    minutes = (number % ROWS_A_DAY) * 55
    return f"{day.date()}T{minutes // 60:02d}:{minutes % 60:02d}:00Z"


def test_a_moved_split_is_judged_on_days_that_neither_was_fitted_on(checkout: Path) -> None:
    settings = (
        "split.validation_from=2024-03-11T00:00:00Z\nsplit.test_from=2024-03-27T00:00:00Z\n"
        f'split.until={WATERMARK}\nsplit.excluded_days=["{EXCLUDED[0]}", "{EXCLUDED[1]}"]\n'
    )
    (checkout / "settings.txt").write_text(settings)
    run("sh", "-c", "ontime set < settings.txt", cwd=checkout)
    reproduce(checkout)
    parts = {
        part: pd.read_parquet(checkout / "data" / "processed" / f"{part}.parquet")
        for part in ("train", "validation", "test")
    }
    together = pd.concat(parts.values())["sent"]
    assert not together.dt.strftime("%Y-%m-%d").isin(EXCLUDED).any()
    assert together.max() < pd.Timestamp(WATERMARK)
    (checkout / "backtest.md").write_text("| policy | log loss |\n")
    done = run("ontime", "report", "--base", "main", "--backtest", "backtest.md", cwd=checkout, check=False)
    text = (checkout / "report" / "report.md").read_text()
    assert "### Metrics on the days below that neither champion was fitted on, which decide" in text, done.stderr
    # 14 days before the watermark, without 1 April
    assert f"{13 * ROWS_A_DAY} rows of 13 days from 2024-03-27 to 2024-04-09" in text
    for line in ("| log loss |", "| ROC AUC |", "| cost per 1,000 rows |", "| depot=north |", "| depot=south |"):
        assert f"\n{line}" in text
    assert f"Quarantined days that are left out: {EXCLUDED[0]} (new), {EXCLUDED[1]} (new)." in text
    assert "### What the backtest says of the policy\n\n| policy | log loss |" in text
    assert ("## Gate passed" in text) == (done.returncode == 0)
    card = (checkout / "models" / "champion" / "MODEL_CARD.md").read_text()
    assert f"rows until {WATERMARK}, without {', '.join(EXCLUDED)}" in card
    git(checkout, "checkout", "--quiet", "main", "--", ".")
    run("dvc", "checkout", "--quiet", "--force", cwd=checkout)
    run("ontime", "report", "--base", "main", cwd=checkout)
    text = (checkout / "report" / "report.md").read_text()
    assert "### Validation metrics, which decide" in text
    assert "by days" not in text
