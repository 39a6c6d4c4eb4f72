"""The KServe SDK's server: version 1 records through the scikit-learn pipeline, or the version 2 tensor through ONNX.

`python -m benchmarks.serving.rivals.kserve_server PORT sklearn|onnx`.
"""

# its library is in an environment of its own
# mypy: disable-error-code="import-not-found, misc, untyped-decorator"

import sys
from typing import Any

import joblib
import pandas as pd
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_response

from benchmarks.serving.rivals.onnx_session import open_session, probability
from benchmarks.serving.rivals.pipeline import PIPELINE

NAME = "flight-delay"


class Sklearn(Model):
    """Records in, probabilities out."""

    def load(self) -> bool:
        """Read the pipeline."""
        self.pipeline = joblib.load(PIPELINE)
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Probabilities (rows,)."""
        del headers, response_headers
        frame = pd.DataFrame(payload["instances"])
        return {"predictions": self.pipeline.predict_proba(frame)[:, 1].tolist()}


class Onnx(Model):
    """One tensor in, one out."""

    def load(self) -> bool:
        """Open the model's file."""
        self.session = open_session()
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Probabilities (rows,)."""
        del headers, response_headers
        return get_predict_response(payload, probability(self.session, payload.inputs[0].as_numpy()), self.name)


if __name__ == "__main__":
    port, kind = sys.argv[1:]
    model = Sklearn(NAME) if kind == "sklearn" else Onnx(NAME)
    model.load()
    ModelServer(http_port=int(port), workers=1, enable_grpc=False).start([model])
