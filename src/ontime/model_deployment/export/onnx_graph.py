"""Any model family as one ONNX graph: float32 `features` (rows, columns) in; float32 `probability` or, of a number,
`prediction` (rows,) out; of several classes `probability` (rows, classes)."""

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


def to_onnx(name: str, fitted: Family, columns: int, output: str, classes: int = 0) -> bytes:
    """Convert a fitted model.

    Args:
        name: model family; columns: width of its matrix; output: name of its output.
        classes: how many the target has, if more than two.

    Returns:
        The serialized graph; the same bytes for the same model.
    """
    graph = fitted.exported(columns)
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
