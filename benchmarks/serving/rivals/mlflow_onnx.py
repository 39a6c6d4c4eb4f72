"""MLflow with the ONNX Runtime session: rows of the encoded matrix in, probabilities out."""

from typing import Any

import mlflow

from benchmarks.serving.rivals.onnx_session import open_session, probability


class OnnxModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """The session as MLflow's own kind of model."""

    def load_context(self, context: Any) -> None:
        """Open the model's file."""
        self.session = open_session(context.artifacts["model"])

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Probabilities (rows,)."""
        del context, params
        return probability(self.session, model_input)


mlflow.models.set_model(OnnxModel())
