"""What the scikit-learn families share: saved by joblib, asked by `predict_proba`, or `predict` for a number.

They see the encoded matrix, numbers first and then category codes. Trees take codes as numbers, for the vocabulary
orders them by their share of events, or their mean; the linear models get one column per code.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np

from ontime.common.arrays import Matrix, Outputs
from ontime.common.files import replacing
from ontime.encoder import Encoder
from ontime.model_training.families import Family

MODEL_FILE = "model.joblib"

MOST_DENSE_BYTES = 1 << 30
"""A matrix of one column per code that would be larger is held sparse; a fit holds it about three times."""
BYTES_PER_VALUE = 8


class ScikitLearnModel(Family):
    """A fitted scikit-learn estimator or pipeline."""

    framework = "scikit-learn"
    packages = ("numpy", "scikit-learn", "scipy")

    def save(self, folder: Path) -> None:
        """Write the model as joblib does."""
        import joblib

        with replacing(folder / MODEL_FILE) as temporary:
            joblib.dump(self.model, temporary)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; the file names the classes that it needs, and they are imported."""
        import joblib

        return cls(joblib.load(folder / MODEL_FILE))

    def predict(self, matrix: Matrix) -> Outputs:
        """Probability of the event, or a number: float64 (rows,)."""
        return outputs_of(self.model, matrix)


def is_sparse(encoder: Encoder, rows: int) -> bool:
    """Whether the matrix of one column per code, of so many rows, is too large to be held dense."""
    return rows * (len(encoder.numbers) + sum(encoder.category_sizes)) * BYTES_PER_VALUE > MOST_DENSE_BYTES


def linear_columns(encoder: Encoder, rows: int) -> Any:
    """What linear models see, not fitted: scaled numbers, the mean for a missing one, one column per category code.

    Args:
        rows: of the matrix that it will be fitted on.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    count, sparse = len(encoder.numbers), is_sparse(encoder, rows)
    numbers = make_pipeline(SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler())
    codes = OneHotEncoder(
        categories=[np.arange(size, dtype=np.float32) for size in encoder.category_sizes],
        handle_unknown="ignore",
        sparse_output=sparse,
    )
    parts = [("numbers", numbers, list(range(count))), ("codes", codes, list(range(count, len(encoder.features))))]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0 if sparse else 0.3)


def outputs_of(model: Any, matrix: Matrix) -> Outputs:
    """What a fitted estimator says of rows: of two classes the probability of the second."""
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(matrix), dtype=np.float64)
    probability = model.predict_proba(matrix)
    return np.asarray(probability[:, 1] if probability.shape[1] == 2 else probability, dtype=np.float64)
