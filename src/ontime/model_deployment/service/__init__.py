"""The champion as a service over the Open Inference Protocol and TensorFlow Serving's REST API."""

import os

# turns off ONNX Runtime's telemetry; read when the library is loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
