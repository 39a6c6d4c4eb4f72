"""The champion's ONNX Runtime session on one thread, as the service opens it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def open_session(path: Path | str = "") -> onnxruntime.InferenceSession:
    """A session of `path`, else of the champion that CHAMPION names."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    file = path or Path(os.environ["CHAMPION"]) / "model.onnx"
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def probability(session: onnxruntime.InferenceSession, matrix: Any) -> Any:
    """Probabilities float32 (rows,) of an encoded matrix (rows, features)."""
    return session.run(["probability"], {"features": np.asarray(matrix, dtype=np.float32)})[0]
