"""What the neural network is in Keras: built, trained, saved, loaded and asked for probabilities.

Weights are those of the epoch with the least validation loss. One thread keeps sums from being split by the number
of cores, oneDNN's own matrix product from being split by the size of the cache, and the loss below from the
processor's approximate reciprocal.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Matrix, Outputs, Target, Weights
from ontime.common.environment import quiet
from ontime.common.files import replacing, write_text
from ontime.common.weights import weighted_moments
from ontime.encoder import Encoder
from ontime.model_training.families import OPSET, History, Rows, weights_of

if TYPE_CHECKING:
    import onnx

    from ontime.model_training.neural_network import NeuralNetworkParameters
    from ontime.tasks.task import Task

with quiet():
    import keras
    import tensorflow as tf

ARCHITECTURE = "model_architecture.json"
WEIGHTS = "model.weights.h5"
LOGIT = "logit"
SCALED_LIMIT = 5.0
"""Numbers are cut at this many standard deviations."""
PREDICTION_ROWS = 4096
Layers = Callable[[keras.KerasTensor, Any], keras.KerasTensor]
"""What lies between the encoded features (rows, columns) and the head, given the family's parameters."""


def dense_layers(features: keras.KerasTensor, parameters: "NeuralNetworkParameters") -> keras.KerasTensor:
    """One dense relu layer after the other, as wide as `hidden_units` says."""
    hidden = features
    for layer, units in enumerate(parameters.hidden_units, start=1):
        hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{layer}")(hidden)
    return hidden


def fit_network(
    train: Rows,
    validation: Rows,
    encoder: Encoder,
    parameters: "NeuralNetworkParameters",
    seed: int,
    progress: bool,
    task: "Task",
    layers: Layers = dense_layers,
) -> tuple[keras.Model, History]:
    """Train with a checkpoint on the best validation loss.

    Returns:
        The model and its history: losses by epoch.
    """
    head = HEADS[task.head](train[1], len(task.classes), weights_of(train))
    model, trained = _compiled(train[0], encoder, parameters, seed, head, layers, weights_of(train))
    best = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=parameters.patience, restore_best_weights=True, start_from_epoch=0
    )
    record = trained.fit(
        train[0],
        head.learned(train[1]),
        sample_weight=scaled_weights(train),
        validation_data=(validation[0], head.learned(validation[1]), scaled_weights(validation)),
        batch_size=parameters.batch_size,
        epochs=parameters.epochs,
        callbacks=[best],
        verbose=1 if progress else 0,
    ).history
    history = [
        {
            "step": float(epoch),
            f"train_{task.loss_name}": head.told(seen),
            f"validation_{task.loss_name}": head.told(unseen),
        }
        for epoch, (seen, unseen) in enumerate(zip(record["loss"], record["val_loss"], strict=True), start=1)
    ]
    return model, history


def fit_epochs(
    rows: Rows,
    encoder: Encoder,
    parameters: "NeuralNetworkParameters",
    seed: int,
    epochs: int,
    progress: bool,
    task: "Task",
    layers: Layers = dense_layers,
) -> keras.Model:
    """Train on all rows for so many epochs."""
    head = HEADS[task.head](rows[1], len(task.classes), weights_of(rows))
    model, trained = _compiled(rows[0], encoder, parameters, seed, head, layers, weights_of(rows))
    trained.fit(
        rows[0],
        head.learned(rows[1]),
        sample_weight=scaled_weights(rows),
        batch_size=parameters.batch_size,
        epochs=epochs,
        verbose=1 if progress else 0,
    )
    return model


def scaled_weights(rows: Rows) -> npt.NDArray[np.float32] | None:
    """The weights (rows,) with mean 1: Keras divides a sum of weighted losses by the rows, not by their weights."""
    weights = weights_of(rows)
    return None if weights is None else (weights / weights.mean()).astype(np.float32)


def _compiled(
    matrix: Matrix,
    encoder: Encoder,
    parameters: "NeuralNetworkParameters",
    seed: int,
    head: "Head",
    layers: Layers,
    weights: Weights | None,
) -> tuple[keras.Model, keras.Model]:
    """An untrained network, and the part of it that is trained, up to what the head is given."""
    make_deterministic()
    keras.utils.set_random_seed(seed)
    model = build_network(matrix, encoder, parameters, head, layers, weights)
    trained = keras.Model(model.inputs, model.get_layer(LOGIT).output)
    trained.compile(optimizer=keras.optimizers.Adam(parameters.learning_rate), loss=head.loss, jit_compile=False)
    return model, trained


def build_network(
    matrix: Matrix,
    encoder: Encoder,
    parameters: "NeuralNetworkParameters",
    head: "Head",
    layers: Layers = dense_layers,
    weights: Weights | None = None,
) -> keras.Model:
    """Untrained network for an encoded matrix; mean and spread of the numbers are those of `matrix`, by the weights."""
    inputs = keras.Input((encoder.width,), name="features")
    parts = []
    of_texts = slice(encoder.coded.stop, len(encoder.features))
    for of in [slice(encoder.coded.start)] * bool(encoder.numbers) + [of_texts] * bool(encoder.texts):
        numbers = matrix[:, of].astype(np.float64)
        numbers[:, ~np.isfinite(numbers).any(axis=0)] = 0.0
        if weights is None:
            mean = np.nanmean(numbers, axis=0, where=np.isfinite(numbers))
            variance = np.nanvar(numbers, axis=0, where=np.isfinite(numbers))
        else:
            mean, variance = weighted_moments(numbers, weights)
        spread = np.sqrt(np.where(variance > 0, variance, 1.0))
        scaled = keras.layers.Rescaling(
            scale=(1 / spread).astype(np.float32).tolist(), offset=(-mean / spread).astype(np.float32).tolist()
        )(inputs[:, of])
        scaled = keras.ops.where(keras.ops.isnan(scaled), 0.0, scaled)
        parts.append(keras.ops.clip(scaled, -SCALED_LIMIT, SCALED_LIMIT))
    for column, size in enumerate(encoder.category_sizes, start=encoder.coded.start):
        parts.append(keras.ops.one_hot(keras.ops.cast(inputs[:, column], "int32"), size))
    if encoder.texts:
        parts.append(inputs[:, len(encoder.features) :])
    features = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    # made before the last layer: a layer's first weights depend on how many layers were made before it
    hidden = layers(features, parameters)
    logit = keras.layers.Dense(head.units, name=LOGIT)(hidden)
    return keras.Model(inputs, head.layer()(logit), name="neural_network")


class Head(ABC):
    """The end of a network, made for the targets of its training rows; `LOGIT` is what it is given.

    Args:
        classes: how many the target has, if it is of classes; weights: what each row counts, (rows,).
    """

    units = 1

    def __init__(self, target: Target, classes: int = 0, weights: Weights | None = None) -> None:
        del target, classes, weights

    @abstractmethod
    def layer(self) -> keras.Layer:
        """What makes the output of the logit."""

    @abstractmethod
    def loss(self, expected: Any, logits: Any) -> Any:
        """What is made small, of `learned` targets and logits."""

    def learned(self, target: Target) -> Target:
        """What the logit is compared with."""
        return target

    def told(self, loss: float) -> float:
        """The task's loss, from the one that is made small."""
        return float(loss)


class Sigmoid(Head):
    """The probability of the event."""

    def layer(self) -> keras.Layer:
        """A sigmoid."""
        return keras.layers.Activation("sigmoid", name="probability")

    def loss(self, expected: Any, logits: Any) -> Any:
        """Log loss."""
        return log_loss_of_logits(expected, logits)


class Linear(Head):
    """A number; the network learns it with mean 0 and standard deviation 1."""

    def __init__(self, target: Target, classes: int = 0, weights: Weights | None = None) -> None:
        del classes
        self.mean = float(np.average(target, weights=weights))
        self.spread = float(np.sqrt(np.average((target - self.mean) ** 2, weights=weights))) or 1.0

    def layer(self) -> keras.Layer:
        """The number on its own scale."""
        return keras.layers.Rescaling(scale=self.spread, offset=self.mean, name="prediction")

    def loss(self, expected: Any, logits: Any) -> Any:
        """Mean squared error."""
        return keras.ops.mean(keras.ops.square(expected - logits), axis=-1)

    def learned(self, target: Target) -> Target:
        """Standardised targets."""
        return (target - self.mean) / self.spread

    def told(self, loss: float) -> float:
        """Root mean squared error in the target's unit."""
        return float(np.sqrt(loss)) * self.spread


class Softmax(Head):
    """The probability of each class."""

    def __init__(self, target: Target, classes: int = 0, weights: Weights | None = None) -> None:
        del target, weights
        self.units = classes

    def layer(self) -> keras.Layer:
        """A softmax."""
        return keras.layers.Activation("softmax", name="probability")

    def loss(self, expected: Any, logits: Any) -> Any:
        """Log loss; TensorFlow's own operation of it is differentiated without `Reciprocal`."""
        return tf.nn.softmax_cross_entropy_with_logits(expected, logits)

    def learned(self, target: Target) -> Target:
        """Whether it is each class: (rows, classes)."""
        return np.eye(self.units, dtype=np.float32)[target.astype(np.intp)]


HEADS: dict[str, type[Head]] = {"sigmoid": Sigmoid, "softmax": Softmax, "linear": Linear}


def save_network(model: keras.Model, folder: Path) -> None:
    """Write the architecture as JSON and the weights as HDF5: unlike a .keras archive they hold no date."""
    write_text(folder / ARCHITECTURE, model.to_json(indent=2) + "\n")
    with replacing(folder / WEIGHTS) as temporary:
        named = temporary.with_name(f"{temporary.name}.weights.h5")
        model.save_weights(named)
        named.rename(temporary)


def load_network(folder: Path) -> keras.Model:
    """Read a saved network."""
    make_deterministic()
    model = keras.models.model_from_json((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    model.load_weights(folder / WEIGHTS)
    return model


def network_outputs(model: keras.Model, matrix: Matrix) -> Outputs:
    """Probability of the event, or a number: float64 (rows,); or of each class: (rows, classes)."""
    predicted: Any = model.predict(matrix, batch_size=PREDICTION_ROWS, verbose=0)
    return np.asarray(predicted[:, 0] if predicted.shape[1] == 1 else predicted, dtype=np.float64)


def network_graph(model: keras.Model, columns: int) -> "onnx.ModelProto":
    """The network as an ONNX graph, of `columns` inputs."""
    import onnx

    # Keras exports a model only after its first call
    model(np.zeros((1, columns), dtype=np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False, opset_version=OPSET[""])
        return onnx.load(path)


def log_loss_of_logits(events: Any, logits: Any) -> Any:
    """Cross-entropy of logits, differentiated without TensorFlow's `Reciprocal`.

    Keras's own is differentiated through log1p, hence by the instruction `rcpps`, whose results Intel and AMD are
    free to choose; softplus is differentiated by division, which IEEE 754 fixes.
    """
    return keras.ops.mean(keras.ops.softplus(logits) - events * logits, axis=-1)


def make_deterministic() -> None:
    """Let TensorFlow compute on one thread and by deterministic kernels; before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.config.disable_interactive_logging()
