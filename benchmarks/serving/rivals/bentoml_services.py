"""BentoML's two services: records through the scikit-learn pipeline, rows of numbers through the ONNX session."""

# its library is in an environment of its own
# mypy: disable-error-code="import-not-found, misc, untyped-decorator"

import bentoml
import joblib
import numpy as np
import pandas as pd

from benchmarks.serving.rivals.onnx_session import open_session, probability
from benchmarks.serving.rivals.pipeline import PIPELINE


@bentoml.service(workers=1)
class Sklearn:
    """Records in, probabilities out."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(PIPELINE)

    @bentoml.api
    def predict(self, records: pd.DataFrame) -> np.ndarray:
        """Probabilities (rows,)."""
        return np.asarray(self.pipeline.predict_proba(records)[:, 1])


@bentoml.service(workers=1)
class Onnx:
    """Rows of the encoded matrix in, probabilities out."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probabilities (rows,)."""
        return np.asarray(probability(self.session, features))
