"""The champion as a service over the Open Inference Protocol and TensorFlow Serving's REST form."""

import os

# read when ONNX Runtime loads; otherwise it reports its use to its maker
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
