"""The network trains and predicts the same bytes on processors that QEMU computes, generated code included."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest

from ontime.common.environment import PINNED

TRIES, SECONDS = 3, 400
TRAIN_AND_PREDICT = """
import hashlib
import json

import numpy as np

from ontime.common.environment import quiet
from ontime.encoder import Encoder
from ontime.model_training.keras_model import fit_network, network_outputs
from ontime.model_training.neural_network import NeuralNetworkParameters
from ontime.tasks.binary import Binary

with quiet():
    import tensorflow as tf


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


generator = np.random.default_rng(0)
encoder = Encoder(("a", "b", "c"), {"d": tuple(map(str, range(20))), "e": ("x", "y")})
numbers = generator.standard_normal((800, 3)) * [1, 100, 0.01]
matrix = np.column_stack([numbers, *(generator.integers(0, size, 800) for size in encoder.category_sizes)])
rows, labels = matrix.astype(np.float32), (generator.random(800) < 0.3).astype(np.int8)
settings = NeuralNetworkParameters(hidden_units=[65, 33], learning_rate=0.01, batch_size=100, epochs=2, patience=2)
model, history = fit_network(
    (rows[:600], labels[:600]), (rows[600:], labels[600:]), encoder, settings, 0, False, Binary()
)
told = {
    "history": history,
    "weights": digest(*model.get_weights()),
    "probabilities": digest(network_outputs(model, rows)),
    "reciprocals": digest(tf.math.reciprocal(tf.constant(np.linspace(1, 2, 999, dtype=np.float32))).numpy()),
}
print(json.dumps(told))
"""


def told_by(command: list[str]) -> dict[str, object]:
    """What the program tells; the environment is pinned before, for a program that starts itself again leaves QEMU."""
    environment = {**os.environ, **PINNED, "OMP_NUM_THREADS": "1"}
    for _ in range(TRIES):
        # threads of a program that QEMU runs can wait for each other for ever; the same program ends at the next try
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [*command, "-c", TRAIN_AND_PREDICT],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
            assert not done.returncode, done.stderr
            told: dict[str, object] = json.loads(done.stdout)
            return told
    pytest.fail(f"{shlex.join(command)}: no end within {SECONDS} s, {TRIES} times")


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 is not installed (Debian: qemu-user)")
@pytest.mark.parametrize("processor", ["Haswell", "EPYC-Rome"])
def test_a_network_is_the_same_bytes_on_an_emulated_processor(processor: str) -> None:
    native = told_by([sys.executable])
    emulated = told_by(["qemu-x86_64", "-cpu", processor, sys.executable])
    # correctly rounded ones, which no processor gives: the test would see them
    assert emulated.pop("reciprocals") != native.pop("reciprocals")
    assert emulated == native
