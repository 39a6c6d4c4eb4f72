"""The rows of a part of the data as models see them: encoded, with their targets, and with weights to be fitted on."""

from pathlib import Path

import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Matrix, Target, Weights
from ontime.common.files import column_names, read_json, read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.common.weights import load_weights
from ontime.encoder import Encoder
from ontime.model_training.families import Rows
from ontime.tasks.task import target_of


def load_encoder(checkout: Path = Path()) -> Encoder:
    """The encoder of `vocabulary.json`."""
    return Encoder.from_vocabulary(read_json(checkout / paths.VOCABULARY))


def load_rows(part: str, encoder: Encoder, checkout: Path = Path()) -> tuple[Matrix, Target]:
    """Encoded matrix float32 (rows, features) and targets (rows,) of `train`, `validation` or `test`."""
    path = checkout / paths.split_rows(part)
    target = own_in(TARGET, column_names(path))
    return encoded(read_parquet(path, columns=[*encoder.features, target]), encoder)


def load_fit_rows(part: str, encoder: Encoder, checkout: Path = Path()) -> Rows:
    """The rows of `train`, `validation` or `test`, for a fit."""
    return fit_rows(*load_rows(part, encoder, checkout), load_weights(part, checkout=checkout))


def fit_rows(matrix: Matrix, target: Target, weights: Weights | None) -> Rows:
    """Rows for a fit: those that count, and without weights where each counts as one, as in a table without weights."""
    if weights is None:
        return matrix, target
    counts = weights > 0
    if not counts.all():
        matrix, target, weights = matrix[counts], target[counts], weights[counts]
    return (matrix, target) if (weights == 1).all() else (matrix, target, weights)


def encoded(rows: pd.DataFrame, encoder: Encoder) -> tuple[Matrix, Target]:
    """Encoded matrix float32 (rows, features) and targets (rows,) of rows of which they are known."""
    columns = {name: rows[name].to_numpy() for name in encoder.features}
    return encoder.transform(columns), target_of(rows)
