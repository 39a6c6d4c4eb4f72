"""Rows are encoded from the split's files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET
from ontime.model_training.rows import load_encoder, load_rows


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


def test_an_absent_vocabulary_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not found; run `dvc repro`"):
        load_encoder()
