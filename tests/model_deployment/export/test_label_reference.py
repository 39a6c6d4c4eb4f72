"""A champion takes the limits of its label series and the groups' past rates with it, and reads them as they were."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_parquet, write_parquet
from ontime.model_deployment.export.label_reference import label_reference
from ontime.model_deployment.export.profile import Bins
from ontime.model_deployment.export.reference import REFERENCE, Reference, read_reference
from ontime.model_evaluation.group_rate import past_rate
from ontime.model_evaluation.metrics import cost_per_1000
from ontime.model_evaluation.settings import Decision
from ontime.tasks.binary import Binary

DAYS, ROWS = 45, 120
DECISION = Decision(false_alarm_cost=1.0, missed_event_cost=3.0)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rows that `label_reference` reads."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(np.repeat(np.arange(DAYS), ROWS), unit="D").as_unit("us"),
            "depot": random.choice(["north", "south"], DAYS * ROWS),
            "size": random.choice([1, 2], DAYS * ROWS),
        }
    )
    chance = np.where(rows["depot"] == "north", 0.4, 0.1)
    rows["target"] = (random.random(len(rows)) < chance).astype("int8")
    write_parquet(rows.assign(probability=chance.astype("float32")), paths.FORWARD)
    write_parquet(rows[: 40 * ROWS], paths.split_rows("train"))
    write_parquet(rows[40 * ROWS :], paths.split_rows("validation"))
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_limits_come_from_whole_days_and_rates_from_the_training_rows() -> None:
    found = label_reference("at", ["depot", "colour"], ["depot", "size"], DECISION, Binary())
    assert found.days == DAYS - 2
    assert {("offset", ""), ("offset", "depot=north")} <= set(found.by_series())
    train, validation = (read_parquet(paths.split_rows(part)) for part in ("train", "validation"))
    assert found.group_rate is not None
    rate = past_rate(train, validation, ["depot", "size"])
    names = validation["depot"] + "/" + validation["size"].astype(str)
    np.testing.assert_allclose(names.map(found.group_rate.rates), rate, rtol=1e-5)
    labels = validation["target"].to_numpy()
    cost = cost_per_1000(labels, names.map(found.group_rate.rates).to_numpy() >= found.group_rate.threshold, DECISION)
    assert cost == min(cost_per_1000(labels, rate >= threshold, DECISION) for threshold in [*np.unique(rate), np.inf])


@pytest.mark.usefixtures("checkout")
def test_the_reference_is_read_as_it_was_written() -> None:
    bins = Bins({"size": [1.0]}, {"depot": 4}, [0.5])
    for group in (["depot"], []):
        labels = label_reference("at", ["depot"], group, DECISION, Binary())
        Path(REFERENCE).write_text(Reference(bins, {}, np.zeros(3), np.zeros(3), 0, labels).as_text())
        assert read_reference(Path(REFERENCE)).labels == labels
    Path(REFERENCE).write_text(Reference(bins, {}, np.zeros(3), np.zeros(3), 0).as_text())
    assert read_reference(Path(REFERENCE)).labels is None


@pytest.mark.usefixtures("checkout")
def test_limits_that_are_none_are_one_line() -> None:
    bins = Bins({"size": [1.0]}, {"depot": 4}, [0.5])
    text = Reference(
        bins, {}, np.zeros(3), np.zeros(3), 0, label_reference("at", ["depot"], [], DECISION, Binary())
    ).as_text()
    Path(REFERENCE).write_text(text.replace('"usual": ', '"usual": "far", "unusual": ', 1))
    with pytest.raises(OntimeError, match=rf"^{REFERENCE}: labels\.series\.0\.usual"):
        read_reference(Path(REFERENCE))
