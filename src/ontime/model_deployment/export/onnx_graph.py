"""Any model family as one ONNX graph: float32 `features` (rows, columns) in; float32 `probability` or, of a number,
`prediction` (rows,) out; of several classes `probability` (rows, classes)."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ontime.common.arrays import Matrix
from ontime.model_training.families import Family

INPUT = "features"
BLOCK_ROWS = 8192
"""A graph is asked for so many rows at a time."""
OPSET = {"": 18, "ai.onnx.ml": 3}


def to_onnx(name: str, fitted: Family, columns: int, output: str, classes: int = 0) -> bytes:
    """Convert a fitted model.

    Args:
        name: model family; columns: width of its matrix; output: name of its output.
        classes: how many the target has, if more than two.

    Returns:
        The serialized graph; the same bytes for the same model.
    """
    # the graphs of other tasks would get other bytes by it
    model = with_float_thresholds(fitted.model) if classes else fitted.model
    graph = CONVERTERS[fitted.framework](model, columns)
    graph = _with_canonical_names(_with_one_output(graph, output, classes), output)
    graph.graph.name = name
    graph.producer_name, graph.producer_version, graph.doc_string = "ontime", "", ""
    imports = sorted((entry.domain, entry.version) for entry in graph.opset_import)
    del graph.opset_import[:]
    graph.opset_import.extend(helper.make_opsetid(domain, number) for domain, number in imports)
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString(deterministic=True))


def onnx_outputs(content: bytes, matrix: Matrix) -> npt.NDArray[np.float32]:
    """What a graph says (rows,) or (rows, classes) of encoded rows, by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # a graph with a column per category code holds them all for each row
    blocks = [matrix[start : start + BLOCK_ROWS] for start in range(0, max(len(matrix), 1), BLOCK_ROWS)]
    outputs = [session.run(None, {INPUT: block})[0] for block in blocks]
    return np.asarray(np.concatenate(outputs), dtype=np.float32)


def _from_scikit_learn(model: Any, columns: int) -> onnx.ModelProto:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    return convert_sklearn(
        model,
        name="model",
        initial_types=[(INPUT, FloatTensorType([None, columns]))],
        target_opset=OPSET,
        options=options,
    )


def with_float_thresholds(model: Any) -> Any:
    """A copy of histogram boosting whose thresholds are float32, the greatest that are not above those of the model.

    Other models are returned as they are. skl2onnx rounds thresholds to the nearest float32, and a value that one lands
    on then goes to the other side.
    """
    if not hasattr(model, "_predictors"):
        return model
    copied = copy.deepcopy(model)
    for tree in (tree for trees in copied._predictors for tree in trees):
        threshold = tree.nodes["num_threshold"]
        rounded = threshold.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(rounded > threshold, below, rounded)
    return copied


def _from_keras(model: Any, columns: int) -> onnx.ModelProto:
    # Keras exports a model only after its first call
    model(np.zeros((1, columns), dtype=np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False, opset_version=OPSET[""])
        return onnx.load(path)


CONVERTERS = {"keras": _from_keras, "scikit-learn": _from_scikit_learn}


def _with_one_output(model: onnx.ModelProto, output: str, classes: int) -> onnx.ModelProto:
    """Reduce the outputs to one: of two classes, the probability of the second; of more, that of each."""
    graph = model.graph
    source = graph.output[-1].name
    if classes:
        graph.node.append(helper.make_node("Identity", [source], [output], name="by_class"))
    else:
        _pick_vector(graph, source, output)
    if graph.input[0].name != INPUT:
        for node in graph.node:
            node.input[:] = [INPUT if name == graph.input[0].name else name for name in node.input]
        graph.input[0].name = INPUT
    del graph.output[:]
    shape = ["rows", classes] if classes else ["rows"]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    return model


def _pick_vector(graph: onnx.GraphProto, source: str, output: str) -> None:
    """Make a vector of the last column."""
    wide = graph.output[-1].type.tensor_type.shape.dim[-1].dim_value != 1
    names = {"column": "event_column", "shape": "vector_shape", "picked": "event_probability"}
    graph.initializer.append(numpy_helper.from_array(np.array([1 if wide else 0], dtype=np.int64), names["column"]))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), names["shape"]))
    graph.node.append(
        helper.make_node("Gather", [source, names["column"]], [names["picked"]], axis=1, name="pick_event")
    )
    graph.node.append(helper.make_node("Reshape", [names["picked"], names["shape"]], [output], name="as_vector"))


def _with_canonical_names(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """Order the nodes by what the output needs, and number their names and their tensors' in that order.

    tf2onnx orders nodes and merges equal constants by memory address.
    """
    graph = model.graph
    made_by = {tensor: node for node in graph.node for tensor in node.output}
    names = {"": "", INPUT: INPUT, output: output}
    ordered: list[onnx.NodeProto] = []

    def visit(tensor: str) -> None:
        node = made_by.get(tensor)
        if node is None:
            names.setdefault(tensor, f"tensor_{len(names)}")
        elif not any(node is done for done in ordered):
            for used in node.input:
                visit(used)
            ordered.append(node)
            for made in node.output:
                names.setdefault(made, f"tensor_{len(names)}")

    visit(output)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    for number, node in enumerate(nodes):
        node.input[:] = [names[tensor] for tensor in node.input]
        node.output[:] = [names[tensor] for tensor in node.output]
        node.name = f"{node.op_type}_{number}"
    constants = [onnx.TensorProto.FromString(c.SerializeToString()) for c in graph.initializer if c.name in names]
    for constant in constants:
        constant.name = names[constant.name]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(sorted(constants, key=lambda constant: constant.name))
    return model
