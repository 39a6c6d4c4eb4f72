"""What the scikit-learn families share: saved by joblib, asked by `predict_proba`.

They see the encoded matrix, numbers first and then category codes. Trees take codes as numbers, for the vocabulary
orders them by their share of events; the linear model gets one column per code.
"""

from pathlib import Path
from typing import Self

import numpy as np

from ontime.common.arrays import Matrix, Probability
from ontime.common.files import replacing
from ontime.model_training.families import Family

MODEL_FILE = "model.joblib"


class ScikitLearnModel(Family):
    """A fitted scikit-learn classifier or pipeline."""

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

    def probability(self, matrix: Matrix) -> Probability:
        """Probability of the event: float64 (rows,)."""
        return np.asarray(self.model.predict_proba(matrix)[:, 1], dtype=np.float64)
