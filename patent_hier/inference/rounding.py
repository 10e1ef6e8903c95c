"""8-bit weights in an ONNX file, in the form that each engine multiplies fast.

Only the matrices that tokens are multiplied by are rounded, symmetrically: those of an encoder, but not its embeddings,
nor the head's convolutions and last layer. The engine rounds activations at run time.
"""

import copy
import importlib
import platform
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.inference.engines import ONNX, OPENVINO
from patent_hier.inference.onnx_network import open_session

GROUP = 32  # weights or activations that share a scale in OpenVINO; whole columns were not faster
_MOST = 127
_UNEVEN = 20.0  # maximum ratio of a product's largest input to the root mean square, if all inputs share one scale

Example = Mapping[str, NDArray[np.int64]]


def _by_onnxruntime(path: Path, example: Example) -> None:
    """Use integer products; all activations of a batch share a scale.

    A single activation far beyond the others would leave only a few steps for them. Products with such inputs on an
    example therefore stay in fp32. In the encoder ``small``, these are the products after the activation function of
    the lower three layers; in e5-small, all of them, so that little is gained there.

    A processor without VNNI adds two products in 16 bits, which can overflow; there, the weights have 7 bits.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    import onnx

    tools = importlib.import_module("onnxruntime.quantization")  # untyped
    model: Any = onnx.load(path)
    whole = _even(model, example)
    tools.quant_utils.add_pre_process_metadata(model)  # avoids a warning about missing fusions
    facts = {"per_channel": True, "weight_type": tools.QuantType.QInt8, "nodes_to_quantize": whole}
    facts["reduce_range"] = has_short_sums()
    if whole:  # an empty list would select all nodes
        tools.quantize_dynamic(model, path, op_types_to_quantize=["MatMul"], **facts)


def has_short_sums() -> bool:
    """Return whether this processor adds 8-bit products in 16 bits, as x86 without VNNI does."""
    import torch

    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return is_x86 and not torch.cpu._is_vnni_supported()  # public only in newer versions of torch


def _even(model: Any, example: Example) -> list[str]:
    """Return the names of weight products whose inputs stay within :data:`_UNEVEN` on an example."""
    import onnx
    from onnx import helper

    products = {node.name: node.input[0] for node in _products(model)}
    if not products:  # a TextCNN has convolutions only
        return []
    inputs, further = list(dict.fromkeys(products.values())), onnx.ModelProto()
    further.CopyFrom(model)
    further.graph.output.extend(map(helper.make_empty_tensor_value_info, inputs))
    session = open_session(further.SerializeToString())
    known = {one.name for one in session.get_inputs()}
    values = session.run(inputs, {name: value for name, value in example.items() if name in known})
    peaks = [float(np.abs(value).max() / np.sqrt(np.square(value).mean())) for value in values]
    even = {name for name, peak in zip(inputs, peaks, strict=True) if peak <= _UNEVEN}
    return [name for name, source in products.items() if source in even]


def _products(model: Any) -> Iterator[Any]:
    """Return the nodes that multiply by weights."""
    weights = {one.name for one in model.graph.initializer}
    return (node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights)


def _in_groups(path: Path, _: Example) -> None:
    """Store integers, and the operators that convert them to real numbers; OpenVINO computes with the integers.

    Each :data:`GROUP` weights of a column share a scale, and so do as many activations of a token (see
    ``runtimes.py``).

    Source: https://docs.openvino.ai, "Dynamic quantization".
    """
    import onnx
    from onnx import numpy_helper

    model: Any = onnx.load(path)
    weights = {one.name: one for one in model.graph.initializer}
    nodes: dict[str, list[Any]] = {}  # by name of the weights, which several products may share
    for node in _products(model):
        name = node.input[1]
        if name not in nodes:
            nodes[name], numbers = _rounded(name, numpy_helper.to_array(weights[name]))
            model.graph.initializer.remove(weights[name])
            model.graph.initializer.extend(numbers)
        node.input[1] = nodes[name][-1].output[0]
    ordered = [*chain.from_iterable(nodes.values()), *map(copy.deepcopy, model.graph.node)]
    del model.graph.node[:]  # also empties the deleted nodes, hence the copies above
    model.graph.node.extend(ordered)
    onnx.save(model, path)


def _rounded(name: str, matrix: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
    """Return nodes that restore the matrix ``(inputs, outputs)``, the last of which outputs it, and their constants."""
    import onnx
    from onnx import helper, numpy_helper

    size = GROUP if len(matrix) % GROUP == 0 else len(matrix)
    groups = matrix.reshape(-1, size, matrix.shape[1])  # (groups, size, outputs)
    largest = np.abs(groups).max(1, keepdims=True)  # (groups, 1, outputs)
    scales = np.where(largest > 0, largest / _MOST, 1).astype(np.float32)
    whole, scale, shape, cast, product, real = (f"{name}.{number}" for number in range(6))
    nodes = [
        helper.make_node("Cast", [whole], [cast], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [cast, scale], [product]),
        helper.make_node("Reshape", [product, shape], [real]),
    ]
    arrays = (np.rint(groups / scales).astype(np.int8), scales, np.array(matrix.shape))
    return nodes, list(map(numpy_helper.from_array, arrays, (whole, scale, shape)))


ROUNDERS: Mapping[str, Callable[[Path, Example], None]] = {ONNX: _by_onnxruntime, OPENVINO: _in_groups}
