"""The champion's folder: whole, true to the model, and the same bytes when made again."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256
from ontime.encoder import Encoder
from ontime.model_deployment.export.export import check_parity
from ontime.model_deployment.export.onnx_graph import onnx_outputs
from ontime.model_training.families import load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.repository.yaml_files import editing
from ontime.tasks.answers import BinaryAnswer


@pytest.fixture
def champion(fork: Path) -> Path:
    return fork / "models" / "champion"


@pytest.fixture
def manifest(champion: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(champion / "manifest.json")
    return content


def test_the_manifest_describes_every_file_but_itself(champion: Path, manifest: dict[str, Any]) -> None:
    names = sorted(path.name for path in champion.iterdir())
    assert names == [
        "MODEL_CARD.md",
        "golden.json",
        "manifest.json",
        "metrics.json",
        "model.onnx",
        "page.json",
        "reference.json",
        "report.html",
        "vocabulary.json",
    ]
    assert manifest["files"] == {
        name: {"sha256": sha256(champion / name), "size": (champion / name).stat().st_size}
        for name in names
        if name != "manifest.json"
    }


def test_the_manifest_says_what_the_model_is(fork: Path, champion: Path, manifest: dict[str, Any]) -> None:
    selection = read_json(fork / "models" / "selection.json")
    run = fork / "models" / "training_runs" / selection["champion"]
    validation = read_json(run / "metrics" / "validation.json")
    assert (manifest["name"], manifest["model"]) == ("parcels", selection["champion"])
    assert manifest["threshold"] == validation.pop("threshold")
    test = read_json(fork / "models" / "refit" / "metrics" / "test.json")
    assert manifest["metrics"] == {"validation": validation, "test": test}
    assert manifest["training_data_sha256"] == sha256(fork / "data" / "processed" / "train.parquet")
    assert manifest["validation_data_sha256"] == sha256(fork / "data" / "processed" / "validation.parquet")
    typical = read_json(champion / "vocabulary.json")["typical"]
    assert manifest["features"] == [
        {"name": "weight", "type": "number", "may_be_missing": True, "typical": typical["weight"]},
        {"name": "fragile", "type": "number", "may_be_missing": True, "typical": typical["fragile"]},
        {"name": "depot", "type": "category", "may_be_missing": True, "typical": typical["depot"]},
        {"name": "service", "type": "category", "may_be_missing": False, "typical": typical["service"]},
    ]
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["packages"]["onnxruntime"])


def test_golden_records_replay_through_the_exported_files_alone(champion: Path, manifest: dict[str, Any]) -> None:
    golden = read_json(champion / "golden.json")
    encoder = Encoder.from_vocabulary(read_json(champion / "vocabulary.json"))
    assert len(golden["records"]) == len(golden["probabilities"]) == 16
    assert all(list(record) == encoder.features for record in golden["records"])
    assert any(value is None for record in golden["records"] for value in record.values())
    columns = {name: [record[name] for record in golden["records"]] for name in encoder.features}
    found = onnx_outputs((champion / "model.onnx").read_bytes(), encoder.transform(columns))
    assert np.abs(found - np.array(golden["probabilities"])).max() <= manifest["golden_tolerance"]


def test_golden_records_are_rows_of_validation(fork: Path, champion: Path) -> None:
    rows = pd.read_parquet(fork / "data" / "processed" / "validation.parquet").to_dict(orient="records")
    known = [[None if pd.isna(row[n]) else row[n] for n in ("weight", "fragile", "depot", "service")] for row in rows]
    for record in read_json(champion / "golden.json")["records"]:
        assert list(record.values()) in known


def test_exporting_again_writes_the_same_bytes(
    fork: Path, champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(fork / "data")
    (tmp_path / "models").mkdir()
    for name in ("training_runs", "refit", "forward", "selection.json"):
        (tmp_path / "models" / name).symlink_to(fork / "models" / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    commands.main(["export"], standalone_mode=False)
    made = {path.name: sha256(path) for path in (tmp_path / "models" / "champion").iterdir()}
    assert made == {path.name: sha256(path) for path in champion.iterdir()}


def test_the_card_has_the_figures_and_neither_date_nor_path(fork: Path, champion: Path) -> None:
    card = (champion / "MODEL_CARD.md").read_text(encoding="utf-8")
    test = read_json(champion / "manifest.json")["metrics"]["test"]
    assert card.startswith("# parcels\n\nThis model predicts whether late is yes.\n")
    assert f"{test['roc_auc']:.4f}" in card
    validation = read_json(champion / "manifest.json")["metrics"]["validation"]
    assert f"| rows | {validation['rows']} | {test['rows']} | {test['rows']} |" in card
    assert str(fork) not in card
    assert str(pd.Timestamp.now().year) not in card


def test_the_card_says_which_model_was_measured_where(fork: Path, champion: Path) -> None:
    card = (champion / "MODEL_CARD.md").read_text(encoding="utf-8")
    run = fork / "models" / "training_runs" / read_json(champion / "manifest.json")["model"]
    figures = [
        read_json(run / "metrics" / "validation.json"),
        read_json(run / "metrics" / "test.json"),
        read_json(fork / "models" / "refit" / "metrics" / "test.json"),
    ]
    assert "| metric | measured model, validation | measured model, test | served model, test | base rate, " in card
    assert "| ROC AUC | " + " | ".join(f"{one['roc_auc']:.4f}" for one in figures) + " | " in card
    assert "The served model, which is in this folder, was fitted" in card


@pytest.mark.parametrize("refit", [True, False])
def test_what_is_served_is_the_model_that_the_card_names(
    fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refit: bool
) -> None:
    for name in ("data/processed", "models"):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "data" / "features.yaml", tmp_path / "data" / "features.yaml")
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    with editing(tmp_path / "params.yaml") as content:
        content["train"]["refit"] = refit
    monkeypatch.chdir(tmp_path)
    for stage in ("refit", "export"):
        commands.main([stage], standalone_mode=False)
    champion = Path("models/champion")
    family = read_json(champion / "manifest.json")["model"]
    run = Path("models/training_runs") / family
    served = load_model(family, (Path("models/refit") if refit else run) / "model")
    matrix, _ = load_rows("test", load_encoder())
    found = onnx_outputs((champion / "model.onnx").read_bytes(), matrix)
    assert np.abs(found - served.predict(matrix)).max() <= 1e-5
    other = load_model(family, run / "model").predict(matrix)
    assert (np.abs(found - other).max() > 1e-3) == refit
    assert ("served model" in (champion / "MODEL_CARD.md").read_text(encoding="utf-8")) == refit
    measured = read_json(run / "metrics" / "test.json")
    assert (read_json(champion / "manifest.json")["metrics"]["test"] == measured) == (not refit)


def test_the_champions_metric_has_names_that_no_other_metrics_file_has(
    champion: Path, manifest: dict[str, Any]
) -> None:
    found = read_json(champion / "metrics.json")
    metric = found["metric"]
    assert found == {
        "champion": manifest["model"],
        "metric": metric,
        **{part: manifest["metrics"][part][metric] for part in ("validation", "test")},
    }
    assert not found.keys() & manifest["metrics"]["test"].keys()


def test_what_differs_from_the_model_is_refused() -> None:
    probability = np.array([0.1, 0.5, 0.9])
    assert check_parity("ONNX", probability + 9e-6, probability, BinaryAnswer(0.5)) == pytest.approx(9e-6, rel=0.1)
    with pytest.raises(
        OntimeError, match=r"export: ONNX differs from the trained model by up to 1\.0e-03, above 1e-05"
    ):
        check_parity("ONNX", probability + np.array([0, 1e-3, 0]), probability, BinaryAnswer(0.5))
    with pytest.raises(OntimeError, match=r"trees\.npy differs"):
        check_parity("trees.npy", probability * np.nan, probability, BinaryAnswer(0.5))
