"""A training run on disk: the fitted model of one family, saved, loaded and asked for probabilities."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from ontime.common import paths
from ontime.common.arrays import Labels, Matrix, Probability
from ontime.common.environment import importing
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet, replacing
from ontime.common.layout import TARGET
from ontime.encoder import Encoder

NETWORK = "neural_network"
MODEL_FILE = "model.joblib"

History = list[dict[str, float]]
"""Losses by step of a training: epochs, trees or boosting iterations."""
Predict = Callable[[Matrix], Probability]


def load_encoder(checkout: Path = Path()) -> Encoder:
    """The encoder of `vocabulary.json`."""
    return Encoder.from_vocabulary(read_json(checkout / paths.VOCABULARY))


def load_rows(part: str, encoder: Encoder, checkout: Path = Path()) -> tuple[Matrix, Labels]:
    """Encoded matrix float32 (rows, features) and labels int8 (rows,) of `train`, `validation` or `test`."""
    rows = read_parquet(checkout / paths.split_rows(part), columns=[*encoder.features, TARGET])
    columns = {name: rows[name].to_numpy() for name in encoder.features}
    return encoder.transform(columns), rows[TARGET].to_numpy(dtype=np.int8)


def save_model(name: str, model: Any, folder: Path) -> None:
    """Write the model of one family into its own folder."""
    if name == NETWORK:
        from ontime.model_training.neural_network import save_network

        folder.mkdir(parents=True, exist_ok=True)
        save_network(model, folder)
        return
    with replacing(folder / MODEL_FILE) as temporary:
        joblib.dump(model, temporary)


def load_model(name: str, folder: Path) -> Any:
    """Read the model of one family."""
    if not folder.is_dir():
        raise OntimeError(f"{folder}: not found; run `dvc repro` (or `dvc pull`) first")
    if name == NETWORK:
        from ontime.model_training.neural_network import load_network

        return load_network(folder)
    # the file names the classes that it needs
    with importing():
        return joblib.load(folder / MODEL_FILE)


def predictor(name: str, model: Any) -> Predict:
    """Function from an encoded matrix (rows, features) to probabilities float64 (rows,)."""
    if name == NETWORK:
        from ontime.model_training.neural_network import network_probability

        return lambda matrix: network_probability(model, matrix)
    from ontime.model_training.estimators import probability_of

    return lambda matrix: probability_of(model, matrix)
