"""The examples of `docs/fork.md` in a fork, LightGBM and a network: trained, compared with the others and exported."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

from ontime.common.files import read_json
from tests.checkouts import commit, copy_checkout
from tests.commands import make_small
from tests.forks import in_fork

pytestmark = pytest.mark.rehearsal

DOCUMENT, EXAMPLES = Path("docs/fork.md"), Path("docs/examples")
NETWORK = "  residual: {hidden_units: [8, 8], learning_rate: 0.01, batch_size: 32, epochs: 3, patience: 3}\n"
LOCK = Path("tests/rehearsal/own_family/requirements.txt")
"""What the example needs beside the project's packages."""
PARITY = """
import numpy as np

from ontime.common import paths
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import load_model
from ontime.model_training.rows import load_encoder, load_rows

encoder = load_encoder()
matrix, _ = load_rows("test", encoder)
model = load_model("light_gbm", paths.training_run("light_gbm") / "model")
graphs = [to_onnx("light_gbm", model, len(encoder.features), "probability") for _ in range(2)]
assert graphs[0] == graphs[1]
print(np.abs(onnx_outputs(graphs[0], matrix) - model.predict(matrix)).max())
"""


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed fork with the document's families, whose graph has run."""
    top = tmp_path_factory.mktemp("own_family")
    packages = top / "packages"
    uv = Path(sys.executable).with_name("uv")
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--no-deps",
        "--require-hashes",
    ]
    subprocess.run([*install, "--target", packages, "-r", LOCK], check=True)
    text = DOCUMENT.read_text(encoding="utf-8")
    (section,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    checkout = copy_checkout(top / "checkout")
    frame: Any = load_breast_cancer(as_frame=True)
    frame.frame.to_csv(checkout / "tumours.csv", index=False)
    in_fork(checkout, "ontime", "init", "--source", "tumours.csv", "--target", "target", "--no-run")
    for example in ("light_gbm", "residual"):
        shutil.copy(EXAMPLES / f"{example}.py", checkout / "src" / "ontime" / "model_training")
    make_small(checkout / "params.yaml")
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("  random_forest:\n", f"{section}{NETWORK}  random_forest:\n", 1))
    # on the path of the fork's commands, where an environment of its own would have them installed
    for name in ("lightgbm", "onnxmltools", "onnxconverter_common"):
        (checkout / "src" / name).symlink_to(packages / name)
        (information,) = packages.glob(f"{name}-*.dist-info")
        (checkout / "src" / information.name).symlink_to(information)
    in_fork(checkout, "ontime", "init", "--family", "light_gbm")
    in_fork(checkout, "ontime", "init", "--family", "residual")
    in_fork(checkout, "dvc", "repro", "--quiet")
    commit(checkout, "a family of our own")
    return checkout


def test_they_are_compared_with_the_others(fork: Path) -> None:
    selection = read_json(fork / "models" / "selection.json")
    assert set(selection["candidates"]) == {
        "light_gbm",
        "residual",
        "logistic_regression",
        "random_forest",
        "gradient_boosting",
        "neural_network",
    }
    for name in ("light_gbm", "residual"):
        assert selection["candidates"][name] > max(selection["baselines"].values()) + 0.1
        assert (fork / "models" / "training_runs" / name / "plots" / "roc.csv").is_file()


def test_the_graph_of_light_gbm_says_what_the_model_says_and_has_the_same_bytes_each_time(fork: Path) -> None:
    assert float(in_fork(fork, "python", "-c", PARITY).split()[-1]) <= 1e-6


def test_trained_again_light_gbm_has_the_same_bytes(fork: Path) -> None:
    saved = fork / "models" / "training_runs" / "light_gbm" / "model" / "model.joblib"
    before = saved.read_bytes()
    in_fork(fork, "ontime", "train", "light_gbm")
    assert saved.read_bytes() == before
