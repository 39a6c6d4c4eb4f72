"""A run's model comes back as it was saved, and rows are encoded from the split's files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.common.layout import TARGET
from ontime.common.params import MODEL_FAMILIES
from ontime.model_training.runs import load_encoder, load_model, load_rows, predictor


@pytest.fixture
def in_fork(fork: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(fork)
    return fork


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_rows_are_encoded_by_the_vocabulary(in_fork: Path, part: str) -> None:
    encoder = load_encoder()
    rows = pd.read_parquet(in_fork / "data" / "processed" / f"{part}.parquet")
    matrix, labels = load_rows(part, encoder)
    assert encoder.features == ["weight", "fragile", "depot", "service"]
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows), 4)
    assert labels.dtype == np.int8
    assert labels.tolist() == rows[TARGET].tolist()
    np.testing.assert_array_equal(matrix[:, 0], rows["weight"])
    assert (matrix[:, 2] == 1).tolist() == rows["depot"].isna().tolist()


@pytest.mark.parametrize("name", MODEL_FAMILIES)
def test_a_saved_model_gives_the_probabilities_that_were_evaluated(in_fork: Path, name: str) -> None:
    run = in_fork / "models" / "training_runs" / name
    predict = predictor(name, load_model(name, run / "model"))
    matrix, labels = load_rows("validation", load_encoder())
    probability = predict(matrix)
    assert probability.dtype == np.float64
    assert probability.shape == labels.shape
    brier = float(np.mean((probability - labels) ** 2))
    assert read_json(run / "metrics" / "validation.json")["brier_score"] == pytest.approx(brier, abs=1e-6)


@pytest.mark.parametrize("name", MODEL_FAMILIES)
def test_an_absent_model_says_how_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(OntimeError, match=r"model: not found; run `dvc repro` \(or `dvc pull`\) first"):
        load_model(name, tmp_path / "model")


def test_an_absent_vocabulary_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not found; run `dvc repro`"):
        load_encoder()
