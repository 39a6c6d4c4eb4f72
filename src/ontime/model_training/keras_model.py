"""What the neural network is in Keras: built, trained, saved, loaded and asked for probabilities.

Weights are those of the epoch with the least validation loss. One thread keeps sums from being split by the number
of cores, oneDNN's own matrix product from being split by the size of the cache, and the loss below from the
processor's approximate reciprocal.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ontime.common.arrays import Matrix, Probability
from ontime.common.environment import quiet
from ontime.common.files import replacing, write_text
from ontime.encoder import Encoder
from ontime.model_training.families import History, Rows

if TYPE_CHECKING:
    from ontime.model_training.neural_network import NeuralNetworkParameters

with quiet():
    import keras
    import tensorflow as tf

ARCHITECTURE = "model_architecture.json"
WEIGHTS = "model.weights.h5"
LOGIT = "logit"
SCALED_LIMIT = 5.0
"""Numbers are cut at this many standard deviations."""
PREDICTION_ROWS = 4096


def fit_network(
    train: Rows,
    validation: Rows,
    encoder: Encoder,
    parameters: "NeuralNetworkParameters",
    seed: int,
    progress: bool,
) -> tuple[keras.Model, History]:
    """Train with a checkpoint on the best validation loss.

    Returns:
        The model and its history: losses by epoch.
    """
    model, trained = _compiled(train[0], encoder, parameters, seed)
    best = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=parameters.patience, restore_best_weights=True, start_from_epoch=0
    )
    record = trained.fit(
        *train,
        validation_data=validation,
        batch_size=parameters.batch_size,
        epochs=parameters.epochs,
        callbacks=[best],
        verbose=1 if progress else 0,
    ).history
    history = [
        {"step": float(epoch), "train_log_loss": float(seen), "validation_log_loss": float(unseen)}
        for epoch, (seen, unseen) in enumerate(zip(record["loss"], record["val_loss"], strict=True), start=1)
    ]
    return model, history


def fit_epochs(
    rows: Rows, encoder: Encoder, parameters: "NeuralNetworkParameters", seed: int, epochs: int, progress: bool
) -> keras.Model:
    """Train on all rows for so many epochs."""
    model, trained = _compiled(rows[0], encoder, parameters, seed)
    trained.fit(*rows, batch_size=parameters.batch_size, epochs=epochs, verbose=1 if progress else 0)
    return model


def _compiled(
    matrix: Matrix, encoder: Encoder, parameters: "NeuralNetworkParameters", seed: int
) -> tuple[keras.Model, keras.Model]:
    """An untrained network, and the part of it that is trained, up to the logit."""
    make_deterministic()
    keras.utils.set_random_seed(seed)
    model = build_network(matrix, encoder, parameters.hidden_units)
    trained = keras.Model(model.inputs, model.get_layer(LOGIT).output)
    trained.compile(
        optimizer=keras.optimizers.Adam(parameters.learning_rate), loss=log_loss_of_logits, jit_compile=False
    )
    return model, trained


def build_network(matrix: Matrix, encoder: Encoder, hidden_units: list[int]) -> keras.Model:
    """Untrained network for an encoded matrix; mean and spread of the numbers are taken from `matrix`."""
    count = len(encoder.numbers)
    inputs = keras.Input((len(encoder.features),), name="features")
    parts = []
    if count:
        numbers = matrix[:, :count].astype(np.float64)
        numbers[:, ~np.isfinite(numbers).any(axis=0)] = 0.0
        mean = np.nanmean(numbers, axis=0, where=np.isfinite(numbers))
        variance = np.nanvar(numbers, axis=0, where=np.isfinite(numbers))
        spread = np.sqrt(np.where(variance > 0, variance, 1.0))
        scaled = keras.layers.Rescaling(
            scale=(1 / spread).astype(np.float32).tolist(), offset=(-mean / spread).astype(np.float32).tolist()
        )(inputs[:, :count])
        scaled = keras.ops.where(keras.ops.isnan(scaled), 0.0, scaled)
        parts.append(keras.ops.clip(scaled, -SCALED_LIMIT, SCALED_LIMIT))
    for column, size in enumerate(encoder.category_sizes, start=count):
        parts.append(keras.ops.one_hot(keras.ops.cast(inputs[:, column], "int32"), size))
    hidden = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for layer, units in enumerate(hidden_units, start=1):
        hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{layer}")(hidden)
    logit = keras.layers.Dense(1, name=LOGIT)(hidden)
    output = keras.layers.Activation("sigmoid", name="probability")(logit)
    return keras.Model(inputs, output, name="neural_network")


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


def network_probability(model: keras.Model, matrix: Matrix) -> Probability:
    """Probability of the event: float64 (rows,)."""
    predicted: Any = model.predict(matrix, batch_size=PREDICTION_ROWS, verbose=0)
    return np.asarray(predicted[:, 0], dtype=np.float64)


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
