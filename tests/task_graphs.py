"""Small tables of each task, and the graph for them, run in the test's own process."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.model_training.families import FAMILIES
from ontime.tasks.names import TaskName
from tests.commands import make_small, run_command
from tests.graph_copy import copy_graph

FIRST, LAST = ("ingest", "validate", "featurize", "split"), ("baselines", "select", "refit", "forward", "export")
PER_FAMILY = ("train", "evaluate", "cross-validate")


WORDS = ["with", "the", "old", "new", "large", "small", "door", "near", "of", "trees", "road", "quiet", "view", "stone"]
"""What a text is made of, beside the words that say something."""


def texts(told: Iterable[Any]) -> pd.Series:
    """A text of some words for each row, among them what is told of it; some are missing."""
    random = np.random.default_rng(1)
    made = [" ".join([*random.choice(WORDS, random.integers(5, 12)), str(word)]).capitalize() + "." for word in told]
    return pd.Series(made).mask(random.random(len(made)) < 0.05)


def prices(count: int = 900) -> pd.DataFrame:
    """Houses with a price that follows area, rooms, which an advert tells, and town; some values are missing."""
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
    size = pd.cut(frame["rooms"], [0, 2, 4, 9], labels=["a nest", "for two", "for a family"])
    frame.insert(6, "advert", texts(size.tolist()))
    frame.loc[::60, "price"] = None
    return frame


def dear_houses(count: int = 900) -> pd.DataFrame:
    """The houses with an event in place of their price: whether that is above the middle one."""
    frame = prices(count)
    price = frame.pop("price")
    return frame.assign(dear=pd.Series(np.where(price > price.median(), "yes", "no")).mask(price.isna()))


def plants(count: int = 900) -> pd.DataFrame:
    """Plants of three kinds, which leaves, soil and a note on it suggest; some values are missing."""
    random = np.random.default_rng(0)
    length, width = random.normal(5, 1.5, count).round(2), random.normal(3, 1, count).round(2)
    soil = pd.Series(random.choice(["clay", "loam", "sand"], count, p=[0.5, 0.3, 0.2]))
    wet = soil.map({"clay": 0, "loam": 1, "sand": 2}).to_numpy()
    margins = 1.5 * np.stack([length - 5, 0.8 * (width - 3) + wet - 1, 5 - length + 0.5 * (width - 3)], axis=1)
    shares = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    kind = (shares.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    frame = pd.DataFrame(
        {
            "plant": np.arange(count),
            "seen": pd.date_range("2024-01-01", periods=count, freq="3h").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "length": np.where(random.random(count) < 0.05, np.nan, length),
            "width": width,
            "wild": random.random(count) < 0.4,
            "soil": soil.mask(random.random(count) < 0.05),
            "kind": np.array(["rose", "moss", "sweet fern"], dtype=object)[kind],
        }
    )
    frame.insert(6, "note", texts(np.where(wet > 1, "very damp", "dry")))
    frame.loc[::60, "kind"] = None
    return frame


@dataclass(frozen=True)
class Kind:
    """A task with a table of it, and what is to be found of its graph."""

    task: TaskName
    table: Callable[..., pd.DataFrame]
    """Of so many rows."""
    target: str
    key: str
    time: str
    said: str
    """How the line of `init` on the task begins."""
    metric: str
    question: str
    card: str
    """A line of the model card."""
    outputs: tuple[dict[str, object], ...]
    """Those of the service, as its metadata name them."""
    columns: tuple[str, ...]
    """Those that scoring adds, without the version."""
    classes: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """Options of `ontime init`."""
        return ["--target", self.target, "--key", self.key, "--time", self.time]


KINDS = {
    one.task: one
    for one in (
        Kind(
            "binary",
            dear_houses,
            "dear",
            "house",
            "sold",
            "task binary: dear is 'yes' in 49.9% of them",
            "roc_auc",
            "Will dear be yes?",
            "This model predicts whether dear is yes.",
            (
                {"name": "probability", "datatype": "FP32", "shape": [-1]},
                {"name": "decision", "datatype": "BOOL", "shape": [-1]},
            ),
            ("probability", "decision"),
        ),
        Kind(
            "multiclass",
            plants,
            "kind",
            "plant",
            "seen",
            "task multiclass: kind has 3 classes (moss ",
            "log_loss",
            "Which kind is it?",
            "This model predicts what kind is.",
            (
                {"name": "probability", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "decision", "datatype": "BYTES", "shape": [-1]},
            ),
            ("probability_moss", "probability_rose", "probability_sweet fern", "decision"),
            ("moss", "rose", "sweet fern"),
        ),
        Kind(
            "regression",
            prices,
            "price",
            "house",
            "sold",
            "task regression: price is a number from ",
            "rmse",
            "How much will price be?",
            "This model predicts what price is.",
            ({"name": "prediction", "datatype": "FP32", "shape": [-1]},),
            ("prediction",),
        ),
    )
}


def run_graph(folder: Path, table: pd.DataFrame, task: TaskName, *options: str, folds: int = 1) -> Path:
    """A copy of the graph in which every stage has run for a table; its folder."""
    copy_graph(folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("OMP_NUM_THREADS", "1")
        table.to_csv("table.csv", index=False)
        run_command("init", "--source", "table.csv", *options, "--no-run")
        make_small(Path("params.yaml"), folds)
        per_family = [(stage, family) for family in FAMILIES[task] for stage in PER_FAMILY]
        for arguments in [*((stage,) for stage in FIRST), *per_family, *((stage,) for stage in LAST)]:
            run_command(*arguments)
    return folder


def refused(*arguments: str) -> str:
    """The one line with which a command of this folder is refused."""
    with pytest.raises(OntimeError) as error:
        run_command(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)
