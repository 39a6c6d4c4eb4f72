"""The champion in memory: loaded from the bytes that its manifest names, and replayed on its golden records.

In: the champion's folder. Out: probabilities for encoded rows. No pickle is ever loaded.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.encoder import Encoder
from ontime.model_deployment.inference.manifest import GOLDEN, MODEL, VOCABULARY, Manifest, check_files, read_manifest

Probability = npt.NDArray[np.float32]
"""Probability of the event as the graph answers it: (rows,)."""


@dataclass(frozen=True)
class Champion:
    """A loaded model; `may_be_missing` (features,) says which columns of the matrix may hold NaN."""

    name: str
    version: str
    git_commit: str
    sha256: str
    """Of the ONNX graph."""
    manifest: Manifest
    encoder: Encoder
    threshold: float
    may_be_missing: npt.NDArray[np.bool_]
    session: onnxruntime.InferenceSession

    def probability(self, matrix: Matrix) -> Probability:
        """Probabilities (rows,) of encoded rows (rows, features)."""
        (probability,) = self.session.run([self.manifest.output], {self.manifest.input: matrix})
        return np.asarray(probability)

    def decide(self, probability: Probability) -> npt.NDArray[np.bool_]:
        """Whether each probability (rows,) is at the threshold or above."""
        return probability.astype(np.float64) >= self.threshold

    @property
    def numbers(self) -> int:
        """How many of the first columns are numbers; codes of categories follow."""
        return len(self.encoder.numbers)


def load_champion(folder: Path, version: str = "0.0.0", git_commit: str = "unknown", threads: int = 1) -> Champion:
    """Check, load and replay.

    Args:
        version, git_commit: what the model says of itself to clients and logs.
        threads: of ONNX Runtime. With more than one, sums over trees depend on their number.

    Raises:
        OntimeError: the folder is not what its manifest says, or the golden records come out otherwise.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    champion = Champion(
        name=manifest.name,
        version=version,
        git_commit=git_commit,
        sha256=manifest.model_sha256,
        manifest=manifest,
        encoder=Encoder.from_vocabulary(read_json(folder / VOCABULARY)),
        threshold=manifest.threshold,
        may_be_missing=np.array([feature.may_be_missing for feature in manifest.features]),
        session=open_session(folder / MODEL, threads),
    )
    replay(champion, folder)
    return champion


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the processor; idle threads sleep."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def replay(champion: Champion, folder: Path) -> None:
    """Compare the model's probabilities of the golden records with those that it was released with.

    Raises:
        OntimeError: they differ by more than the manifest allows.
    """
    golden, tolerance = read_json(folder / GOLDEN), champion.manifest.golden_tolerance
    matrix = champion.encoder.transform_records([list(record.values()) for record in golden["records"]])
    difference = np.abs(champion.probability(matrix) - np.array(golden["probabilities"])).max()
    if not difference <= tolerance:
        raise OntimeError(f"{folder}: golden records differ by up to {difference:.1e}, above {tolerance:.0e}")
