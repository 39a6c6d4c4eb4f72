"""Rows as the model families see them, and every family fitted on them in a process of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontime.common.arrays import Labels, Matrix
from ontime.encoder import Encoder
from ontime.model_training.families import Train
from tests.commands import make_small
from tests.live import PARAMS

TRAIN = Train(
    seed=0,
    refit=True,
    logistic_regression={"C": 0.1, "max_iter": 50},
    random_forest={"n_estimators": 12, "max_features": 0.5, "min_samples_leaf": 20},
    gradient_boosting={
        "learning_rate": 0.3,
        "max_iter": 30,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 20,
        "max_features": 0.5,
        "l2_regularization": 1.0,
        "n_iter_no_change": 3,
    },
    neural_network={"hidden_units": [6], "learning_rate": 0.02, "batch_size": 64, "epochs": 4, "patience": 2},
)
"""Small settings of each family of an event."""
FIT_EVERY_FAMILY = """
import sys
from pathlib import Path

from ontime.common.environment import pin

pin()
import numpy as np

from ontime.encoder import Encoder
from ontime.model_deployment.export.onnx_graph import to_onnx
from ontime.model_training.families import FAMILIES, Setting, family, parameters_of
from ontime.model_training.train import history_csv
from ontime.parameters import load_params
from ontime.tasks.binary import Binary

rows, params, folder = map(Path, sys.argv[1:])
data = np.load(rows)
encoder = Encoder(tuple(data["numbers"].tolist()), {"kind": tuple(data["kinds"].tolist()), "place": ("a",)})
train, validation = (data["x"], data["y"]), (data["x_validation"], data["y_validation"])
settings = load_params(params).train
for name in FAMILIES["binary"]:
    parameters = parameters_of(name, settings)
    kind, setting = family(name), Setting(encoder, parameters, settings.seed, Binary())
    fitted, history = kind.fit(train, validation, setting)
    fitted.save(folder / name)
    again = kind.fit_all(train, setting, kind.kept_steps(history))
    again.save(folder / name / "all")
    (folder / f"{name}.csv").write_text(history_csv(history))
    (folder / f"{name}.onnx").write_bytes(to_onnx(name, fitted, len(encoder.features), "probability"))
"""


@dataclass(frozen=True)
class Encoded:
    """Random rows as the models see them."""

    encoder: Encoder
    train: tuple[Matrix, Labels]
    validation: tuple[Matrix, Labels]


def make_encoded() -> Encoded:
    """Rows with missing numbers, a constant one, missing and unknown codes, and a target that follows."""
    random = np.random.default_rng(3)
    encoder = Encoder(tuple(f"number_{place}" for place in range(9)), {"kind": tuple("abcdefgh"), "place": ("a",)})

    def rows(count: int) -> tuple[Matrix, Labels]:
        numbers = random.normal(size=(count, 9)) * np.logspace(-2, 4, 9)
        numbers[random.random(numbers.shape) < 0.1] = np.nan
        numbers[:, 4] = 2.5
        codes = np.column_stack([random.integers(0, size, count) for size in encoder.category_sizes])
        score = np.nan_to_num(numbers[:, 0]) * 100 + (codes[:, 0] == 3) - 0.5
        labels = (random.random(count) < 1 / (1 + np.exp(-score))).astype(np.int8)
        return np.column_stack([numbers, codes]).astype(np.float32), labels

    return Encoded(encoder, rows(3000), rows(1000))


def fit_every_family(top: Path, encoded: Encoded, threads: tuple[int, ...]) -> None:
    """Fit and convert every family, into a folder for each number of threads that has its name."""
    names: dict[str, Any] = {"numbers": encoded.encoder.numbers, "kinds": encoded.encoder.categories["kind"]}
    (x, y), (x_validation, y_validation) = encoded.train, encoded.validation
    np.savez(top / "rows.npz", x=x, y=y, x_validation=x_validation, y_validation=y_validation, **names)
    shutil.copyfile(PARAMS, top / "params.yaml")
    make_small(top / "params.yaml")
    for count in threads:
        folder = top / str(count)
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", FIT_EVERY_FAMILY, top / "rows.npz", top / "params.yaml", folder],
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(count),
                # threads that wait for work must not keep the cores that others need
                "OMP_WAIT_POLICY": "PASSIVE",
                "PYTHONHASHSEED": str(count),
            },
            check=True,
            stderr=subprocess.DEVNULL,
        )
