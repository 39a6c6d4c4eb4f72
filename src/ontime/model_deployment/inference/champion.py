"""The model in memory: loaded from verified bytes, and replayed against its golden records before it serves.

In: the champion's folder and its signature. Out: probabilities for encoded rows. No pickle is ever loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.encoder import UNKNOWN, Encoder
from ontime.model_deployment.inference.signing import verify
from ontime.model_deployment.service.settings import Settings

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A verified model; `may_be_missing` (features,) says which columns of the matrix may hold NaN."""

    name: str
    version: str
    git_commit: str
    digest: str
    manifest: dict[str, Any]
    encoder: Encoder
    threshold: float
    may_be_missing: npt.NDArray[np.bool_]
    session: onnxruntime.InferenceSession

    def probability(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Probabilities (rows,) of encoded rows (rows, features)."""
        (probability,) = self.session.run([self.manifest["output"]], {self.manifest["input"]: matrix})
        return np.asarray(probability)

    def decide(self, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Whether each probability (rows,) is at the threshold or above."""
        return probability.astype(np.float64) >= self.threshold

    @property
    def numbers(self) -> int:
        """How many of the first columns are numbers; codes of categories follow."""
        return len(self.encoder.numbers)


def load_model(settings: Settings) -> Model:
    """Verify, load and replay.

    Raises:
        OntimeError: the folder is not what was signed, or the golden records come out otherwise.
    """
    folder = settings.model
    verify(
        folder,
        settings.signature,
        settings.public_key,
        settings.identity,
        settings.identity_provider,
        settings.trust_config,
    )
    manifest = read_json(folder / "manifest.json")
    encoder = Encoder.from_vocabulary(read_json(folder / "vocabulary.json"))
    model = Model(
        name=manifest["name"],
        version=settings.model_version,
        git_commit=settings.git_commit,
        digest=manifest["files"]["model.onnx"]["sha256"],
        manifest=manifest,
        encoder=encoder,
        threshold=manifest["threshold"],
        may_be_missing=np.array([feature["may_be_missing"] for feature in manifest["features"]]),
        session=open_session(folder / "model.onnx", settings.threads),
    )
    replay(model, folder)
    return model


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the processor; idle threads sleep."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def replay(model: Model, folder: Path) -> None:
    """Compare the model's probabilities of the golden records with those that it was released with."""
    golden = read_json(folder / "golden.json")
    matrix = model.encoder.transform_records([list(record.values()) for record in golden["records"]])
    difference = np.abs(model.probability(matrix) - np.array(golden["probabilities"])).max()
    if not difference <= model.manifest["golden_tolerance"]:
        raise OntimeError(
            f"{folder}: golden records differ by up to {difference:.1e}, above {model.manifest['golden_tolerance']:.0e}"
        )


def count_unusual(model: Model, matrix: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each feature how many values are missing, and for each category how many are unknown."""
    codes = matrix[:, model.numbers :]
    missing = np.concatenate([np.isnan(matrix[:, : model.numbers]).sum(axis=0), (codes == 1).sum(axis=0)])
    return missing, (codes == UNKNOWN).sum(axis=0)
