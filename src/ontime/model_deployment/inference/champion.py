"""The champion in memory: loaded from the files that its manifest names, and checked on its golden records.

In: the champion's folder. Out: what it says of encoded rows. No pickle is ever loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.encoder import MISSING, Encoder
from ontime.model_deployment.inference.golden import read_golden
from ontime.model_deployment.inference.manifest import MANIFEST, MODEL, VOCABULARY, Manifest, check_files, read_manifest
from ontime.model_deployment.inference.trees import TREES, Trees, read_trees, scale_of
from ontime.tasks.answers import Answer

Outputs = npt.NDArray[np.float32]
"""What the graph says of each row, by the task the probability of the event or a number (rows,), or of each class
(rows, classes)."""


@dataclass(frozen=True)
class Champion:
    """A loaded model; `may_be_missing` (features,) says which features a row may lack."""

    name: str
    version: str
    git_commit: str
    sha256: str
    """Of the ONNX graph."""
    manifest: Manifest
    encoder: Encoder
    answer: Answer
    """What its task makes of the graph's numbers."""
    may_be_missing: npt.NDArray[np.bool_]
    session: onnxruntime.InferenceSession
    background: Matrix
    """The golden records, encoded: what explanations compare a row with."""
    golden: npt.NDArray[np.float64]
    """What the trained model said of the golden records."""
    trees: Trees | None
    """The graph's trees, if its family has them."""

    def predict(self, matrix: Matrix) -> Outputs:
        """What the graph says of encoded rows (rows, columns)."""
        (outputs,) = self.session.run([self.manifest.output], {self.manifest.input: matrix})
        return np.asarray(outputs)

    @property
    def numbers(self) -> int:
        """Number of number features: they are the first columns of the matrix, before the categories' codes."""
        return len(self.encoder.numbers)

    @cached_property
    def required(self) -> npt.NDArray[np.intp]:
        """Places of the features that had a value in every training row."""
        return np.flatnonzero(~self.may_be_missing)

    @cached_property
    def _missing_codes(self) -> npt.NDArray[np.float32]:
        """The code of a missing value in each required column; NaN, which equals nothing, if it has no codes."""
        coded = self.encoder.coded
        is_code = (self.required >= coded.start) & (self.required < coded.stop)
        return np.where(is_code, MISSING, np.nan).astype(np.float32)

    def missing_required(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        """Which required values of encoded rows (rows, columns) are missing: (rows, required)."""
        values = matrix[:, self.required]
        missing: npt.NDArray[np.bool_] = np.isnan(values) | (values == self._missing_codes)
        return missing


def load_champion(folder: Path, version: str = "0.0.0", git_commit: str = "unknown", threads: int = 1) -> Champion:
    """Check the files of a champion's folder, load them, and check the model on its golden records.

    Args:
        version, git_commit: the release, as clients and logs see it.
        threads: of ONNX Runtime. With more than one, sums over trees depend on their number.

    Raises:
        OntimeError: the folder differs from its manifest, or says something else of the golden records.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    encoder, golden = read_encoder(folder, manifest), read_golden(folder)
    scale = scale_of(manifest.task, manifest.model) if TREES in manifest.files else None
    champion = Champion(
        name=manifest.name,
        version=version,
        git_commit=git_commit,
        sha256=manifest.model_sha256,
        manifest=manifest,
        encoder=encoder,
        answer=manifest.answer,
        golden=np.array(golden.expected),
        may_be_missing=np.array([feature.may_be_missing for feature in manifest.features]),
        session=open_session(folder / MODEL, threads),
        background=golden.matrix(encoder),
        trees=read_trees(folder, encoder.width, scale) if scale else None,
    )
    if champion.golden.shape[1:] != ((len(manifest.classes),) if manifest.classes else ()):
        raise OntimeError(f"{folder}: its golden records are not of the classes of {MANIFEST}")
    check_golden(champion, folder)
    return champion


def read_encoder(folder: Path, manifest: Manifest) -> Encoder:
    """The encoder of a champion's folder.

    Raises:
        OntimeError: the vocabulary cannot be read, or has other features than the manifest.
    """
    path = folder / VOCABULARY
    try:
        encoder = Encoder.from_vocabulary(read_json(path))
    except (KeyError, TypeError, AttributeError):
        raise OntimeError(f"{path}: not a vocabulary; expected `numbers` and `categories`") from None
    kinds = {"number": encoder.numbers, "category": encoder.categories, "text": encoder.texts}
    features = [(name, kind) for kind, names in kinds.items() for name in names]
    if features != [(feature.name, feature.type) for feature in manifest.features]:
        raise OntimeError(f"{path}: its features are not those of {MANIFEST}")
    return encoder


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU, whose idle threads sleep."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_golden(champion: Champion, folder: Path) -> None:
    """Compare what is said of the golden records, by the graph and by its trees, with the released ones.

    Raises:
        OntimeError: they differ by more than the manifest allows.
    """
    sources: dict[str, Callable[[Matrix], npt.NDArray[np.floating[Any]]]] = {"golden records": champion.predict}
    if champion.trees:
        sources[f"golden records by {TREES}"] = champion.trees.predict
    tolerance = champion.manifest.golden_tolerance
    for name, predict in sources.items():
        difference = np.abs(predict(champion.background) - champion.golden).max()
        # written so that NaN fails
        if not difference <= tolerance:
            raise OntimeError(f"{folder}: {name} differ by up to {difference:.1e}, above {tolerance:.0e}")
