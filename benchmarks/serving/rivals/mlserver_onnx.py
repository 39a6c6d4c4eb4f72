"""MLServer with the ONNX Runtime session: one tensor in, one out."""

# its library is in an environment of its own
# mypy: disable-error-code="import-not-found, misc, untyped-decorator"

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.rivals.onnx_session import open_session, probability


class OnnxModel(MLModel):
    """The session as MLServer's own kind of model."""

    async def load(self) -> bool:
        """Open the model's file."""
        self.session = open_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities (rows,)."""
        found = probability(self.session, NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probability", found)])
