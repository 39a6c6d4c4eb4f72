"""A column that no training row has a value of, and one of an odd name, go through the whole graph."""

from pathlib import Path

import pandas as pd
import pytest

from ontime.common import paths
from ontime.common.files import read_json
from ontime.model_training.families import FAMILIES
from ontime.parameters import load_params
from tests.commands import make_small, run_command
from tests.task_graphs import PER_FAMILY

WEIGHT = 'the "weight"\\\n'


@pytest.mark.integration
def test_a_column_without_a_value_in_training_gives_a_champion_and_a_page_without_it(
    graph: Path, parcels: pd.DataFrame
) -> None:
    make_small(graph / "params.yaml")
    parcels["late"] = parcels["late"].ffill()
    # a number that is new, of which the validation rows have the first
    parcels["fresh"] = parcels["weight"].where(parcels.index >= 430)
    parcels = parcels.rename(columns={"weight": WEIGHT})
    parcels.to_csv("t.csv", index=False)
    run_command("init", "--source", "t.csv", "--target", "late", "--time", "sent", "--key", "parcel", "--no-run")
    per_family = [(stage, family) for family in FAMILIES["binary"] for stage in PER_FAMILY]
    for arguments in (
        *([stage] for stage in ("ingest", "validate", "featurize", "split")),
        *per_family,
        *([stage] for stage in ("baselines", "select", "refit", "forward", "export")),
    ):
        run_command(*arguments)
    assert "fresh" in load_params(graph / "params.yaml").export.page_features
    page, expected = read_json(paths.CHAMPION / "page.json"), [WEIGHT, "fragile", "depot", "service"]
    assert [feature["name"] for feature in page["features"]] == expected
    assert page["asked"] == ["depot", "service", WEIGHT, "fragile"]
    assert all(list(start) == expected for start in page["starts"])
