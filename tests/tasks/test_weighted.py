"""A real table with weights, of each task, from `ontime init` to a champion whose figures are weighted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets, metrics

from ontime.common import paths
from ontime.common.files import read_json, read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_training.families import FAMILIES
from ontime.prediction.predict import features_of
from ontime.pull_request.champions import read_champion, workspace_opener
from ontime.tasks.names import TaskName
from ontime.tasks.task import from_column, load_task
from tests.task_graphs import run_graph

pytestmark = pytest.mark.integration

LOADED = {"binary": datasets.load_breast_cancer, "multiclass": datasets.load_wine, "regression": datasets.load_diabetes}
KEPT = 8
"""Features that are enough for a model that beats the baselines."""


def table_of(task: TaskName) -> pd.DataFrame:
    """A table of scikit-learn; of an event, the weights make it as rare as in a screening."""
    loaded: Any = LOADED[task](as_frame=True)
    frame: pd.DataFrame = loaded.frame
    columns = [*frame.columns[:KEPT], "target"]
    if task == "binary":
        return frame[columns].assign(weight=np.where(frame["target"] == 0, 0.1, 1.0))
    random = np.random.default_rng(0)
    if task == "multiclass":
        columns = [*frame.columns[-1 - KEPT : -1], "target"]
    return frame[columns].assign(weight=random.integers(0, 4, len(frame)))


@pytest.fixture(scope="module", params=LOADED)
def task(request: pytest.FixtureRequest) -> TaskName:
    """One task after the other."""
    name: TaskName = request.param
    return name


@pytest.fixture(scope="module")
def run(task: TaskName, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of the task's table that has run."""
    options = ["--target", "target", "--task", task, "--weight", "weight"]
    return run_graph(tmp_path_factory.mktemp(task) / "fork", table_of(task), task, *options)


@pytest.fixture(autouse=True)
def in_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


def measured(task: TaskName, rows: pd.DataFrame) -> dict[str, float]:
    """Figures of predictions as scikit-learn counts them with their weights."""
    target, weights = rows[own_in(TARGET, rows.columns)].to_numpy(dtype=float), rows["weight"].to_numpy()
    outputs = from_column(rows[load_task().output])
    total = {"rows": len(rows), "sum_of_weights": weights.sum()}
    if task == "regression":
        return total | {
            "rmse": metrics.root_mean_squared_error(target, outputs, sample_weight=weights),
            "r2": metrics.r2_score(target, outputs, sample_weight=weights),
        }
    if task == "multiclass":
        decided = outputs.argmax(axis=1)
        return total | {"accuracy": metrics.accuracy_score(target, decided, sample_weight=weights)}
    return total | {
        "roc_auc": metrics.roc_auc_score(target, outputs, sample_weight=weights),
        "share_of_events": np.average(target, weights=weights),
    }


def test_every_run_has_the_weighted_figures_of_its_predictions(task: TaskName) -> None:
    for name in FAMILIES[task]:
        run = paths.training_run(name)
        for part in ("validation", "test"):
            expected = measured(task, read_parquet(run / "predictions" / f"{part}.parquet"))
            found = read_json(run / "metrics" / f"{part}.json")
            assert {one: found[one] for one in expected} == pytest.approx(expected, rel=1e-4, abs=1e-6)
        train = read_parquet(paths.split_rows("train"))["weight"]
        training = read_json(run / "metadata" / "training.json")
        assert training["training_rows"] == (train > 0).sum()
        assert training["training_sum_of_weights"] == pytest.approx(train.sum())


def test_the_champion_beats_weighted_baselines_and_says_what_rows_count(task: TaskName) -> None:
    selection = read_json(paths.SELECTION)
    assert all(low > 0 for low, _ in selection["leads_over_baselines"].values())
    for name in selection["baselines"]:
        assert "sum_of_weights" in read_json(paths.training_run(name) / "metrics" / "test.json")
    rows = pd.concat([read_parquet(paths.split_rows(part)) for part in ("train", "validation")])
    refit = read_json(paths.REFIT / "metadata" / "refit.json")
    assert (refit["rows"], refit["sum_of_weights"]) == ((rows["weight"] > 0).sum(), pytest.approx(rows["weight"].sum()))
    card = (paths.CHAMPION / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- Rows are weighted by `weight`, in training and in all metrics below;" in card
    assert f", sum of weights: {refit['sum_of_weights']:.6g}" in card
    assert "| sum of weights | " in card
    report = (paths.CHAMPION / "report.html").read_text(encoding="utf-8")
    assert "Each row counts as much as its <code>weight</code>" in report
    assert "; their weights sum to " in report
    assert read_manifest(paths.CHAMPION).weight == "weight"
    assert task in ("multiclass", "regression") or read_json(paths.REFIT / "metrics" / "test.json")[
        "share_of_events"
    ] == pytest.approx(0.9, abs=0.09)


def test_no_weight_is_asked_for(tmp_path: Path, task: TaskName) -> None:
    manifest = json.loads((paths.CHAMPION / "manifest.json").read_text(encoding="utf-8"))
    assert "weight" not in [one["name"] for one in manifest["features"]]
    table_of(task).drop(columns=["weight", "target"]).to_csv(tmp_path / "new.csv", index=False)
    rows, layout = features_of(tmp_path / "new.csv", tmp_path / "raw")
    assert (layout.weight, len(rows)) == ("weight", len(table_of(task)))
    assert "weight" not in rows


def test_the_gate_reads_the_weights(task: TaskName) -> None:
    champion = read_champion(workspace_opener, load_task(), ["calibration"])
    assert champion.predictions.weight == "weight"
    assert "weight" in champion.predictions.rows
    assert "sum_of_weights" in champion.curves["calibration"]
    assert task in LOADED
