"""The graph for small tables of other tasks, run in the test's own process."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.model_training.families import FAMILIES
from ontime.tasks.names import TaskName
from tests.commands import make_small, run_command
from tests.graph_copy import copy_graph

FIRST, LAST = ("ingest", "validate", "featurize", "split"), ("baselines", "select", "refit", "forward", "export")


def prices(count: int = 900) -> pd.DataFrame:
    """Houses with a price that follows area, rooms and town; some values are missing."""
    random = np.random.default_rng(0)
    area = random.gamma(4, 25, count).round(1)
    rooms = np.clip((area / 30 + random.normal(0, 1, count)).round(), 1, 9)
    town = pd.Series(random.choice(["a", "b", "c", "d"], count, p=[0.4, 0.3, 0.2, 0.1]))
    extra = town.map({"a": 0, "b": 20_000, "c": 50_000, "d": -15_000}).to_numpy()
    frame = pd.DataFrame(
        {
            "house": np.arange(count),
            "sold": pd.date_range("2024-01-01", periods=count, freq="3h").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "area": np.where(random.random(count) < 0.05, np.nan, area),
            "rooms": rooms,
            "garden": random.random(count) < 0.4,
            "town": town.mask(random.random(count) < 0.05),
            "price": (2000 * area + extra + 8000 * rooms + random.normal(0, 15_000, count)).round(2),
        }
    )
    frame.loc[::60, "price"] = None
    return frame


def run_graph(folder: Path, table: pd.DataFrame, task: TaskName, *options: str) -> Path:
    """A copy of the graph in which every stage has run for a table; its folder."""
    copy_graph(folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("OMP_NUM_THREADS", "1")
        table.to_csv("table.csv", index=False)
        run_command("init", "--source", "table.csv", *options, "--no-run")
        make_small(Path("params.yaml"))
        per_family = [(stage, family) for family in FAMILIES[task] for stage in ("train", "evaluate")]
        for arguments in [*((stage,) for stage in FIRST), *per_family, *((stage,) for stage in LAST)]:
            run_command(*arguments)
    return folder


def refused(*arguments: str) -> str:
    """The one line with which a command of this folder is refused."""
    with pytest.raises(OntimeError) as error:
        run_command(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)
