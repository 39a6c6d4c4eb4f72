"""What TensorFlow executes when the network trains and predicts: no kernel that x86 computes approximately."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ontime.model_training.neural_network import NeuralNetworkParameters
from ontime.tasks.binary import Binary
from ontime.tasks.multiclass import Multiclass
from ontime.tasks.regression import Regression

if TYPE_CHECKING:
    from ontime.tasks.task import Task
    from tests.encoded import Encoded

APPROXIMATE = frozenset(
    {"Atan", "Atan2", "Erfc", "Inv", "LRN", "LRNGrad", "Ndtri", "Reciprocal", "Rsqrt", "Xlog1py", "Xlogy"}
)
"""Operations with rcpps or rsqrtps in their float32 kernels."""
APPROXIMATE_FAMILIES = ("Bessel", "FusedBatchNorm", "ResourceApply", "ResourceSparseApply")
"""Names of others begin so: TensorFlow's own optimizers multiply by rsqrt; Keras's Adam divides by the square root."""
PARAMETERS = NeuralNetworkParameters(hidden_units=[6, 4], learning_rate=0.1, batch_size=64, epochs=1, patience=1)


def executed_operations(folder: Path) -> set[str]:
    """Operations of the graphs that a trace wrote as TensorFlow executed them, those it fused by their own names."""
    import tensorflow as tf

    found = set()
    for file in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                metadata = tf.compat.v1.RunMetadata.FromString(value.tensor.string_val[0])
                executed = [graphs.post_optimization_graph for graphs in metadata.function_graphs]
                for graph in [*executed, *metadata.partition_graphs]:
                    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
                    found |= {node.op for node in nodes}
                    for attribute in ("op_names", "fused_ops"):
                        found |= {op.decode() for node in nodes for op in node.attr[attribute].list.s}
    return found


def approximate(operations: set[str]) -> set[str]:
    """Those that x86 computes by approximate instructions."""
    return {name for name in operations if name in APPROXIMATE or name.startswith(APPROXIMATE_FAMILIES)}


def traced(folder: Path, work: Any) -> set[str]:
    """Operations that a call executes."""
    import tensorflow as tf

    from ontime.model_training.keras_model import make_deterministic

    # the first operation fixes the number of threads
    make_deterministic()
    writer = tf.summary.create_file_writer(str(folder))
    tf.summary.trace_on(graph=True)
    work()
    with writer.as_default():
        tf.summary.trace_export("executed", step=0)
    writer.close()
    return executed_operations(folder)


@pytest.mark.parametrize("task", [Binary(), Multiclass("abc"), Regression()], ids=lambda task: task.name)
def test_training_and_prediction_execute_no_approximate_operation(
    tmp_path: Path, encoded: "Encoded", task: "Task"
) -> None:
    from ontime.model_training.keras_model import fit_network, network_outputs

    def train_and_predict() -> None:
        values = 2 if task.name == "binary" else 3
        train, validation = (
            (matrix, (np.arange(len(matrix)) % values).astype(np.int8))
            for matrix, _ in (encoded.train, encoded.validation)
        )
        model, _ = fit_network(train, validation, encoded.encoder, PARAMETERS, 0, False, task)
        network_outputs(model, encoded.validation[0])

    operations = traced(tmp_path, train_and_predict)
    assert not approximate(operations)


def test_the_loss_of_keras_would_be_seen(tmp_path: Path, encoded: "Encoded", monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from ontime.model_training import keras_model

    monkeypatch.setattr(keras_model, "log_loss_of_logits", keras.losses.BinaryCrossentropy(from_logits=True))
    operations = traced(
        tmp_path,
        lambda: keras_model.fit_network(
            encoded.train, encoded.validation, encoded.encoder, PARAMETERS, 0, False, Binary()
        ),
    )
    assert "Reciprocal" in approximate(operations)
