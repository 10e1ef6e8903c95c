"""Rounded weights: which they are, and how far from what they were."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from patent_hier.inference import rounding
from patent_hier.inference.engines import ONNX, OPENVINO
from patent_hier.inference.onnx_network import open_session
from patent_hier.inference.rounding import GROUP, ROUNDERS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
ROWS, WIDTH = 50, 2 * GROUP


def model_of(path: Path, matrix: NDArray[np.float32]) -> Path:
    """x -> (x W) W, with a wide last layer that is no product of tokens."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("MatMul", ["input_ids", "w"], ["between"], "first"),
        helper.make_node("MatMul", ["between", "w"], ["behind"], "second"),
        helper.make_node("Gemm", ["behind", "head"], ["logits"], "last"),
    ]
    places = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in ("input_ids", "logits")]
    weights = [numpy_helper.from_array(matrix, name) for name in ("w", "head")]
    graph = helper.make_graph(nodes, "graph", places[:1], places[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def logits(path: Path, inputs: Mapping[str, Any]) -> NDArray[np.float32]:
    (found,) = open_session(path).run(None, dict(inputs))
    return np.asarray(found)


def types(path: Path) -> dict[str, int]:
    """Of the numbers of a matrix each."""
    kept = onnx.load(path).graph.initializer
    return {one.name: one.data_type for one in kept if np.prod(one.dims) == WIDTH * WIDTH}


@pytest.fixture
def matrix() -> NDArray[np.float32]:
    matrix = np.random.default_rng(5).normal(size=(WIDTH, WIDTH)).astype(np.float32) / 8
    matrix[:, 3] = 0  # has no scale
    return matrix


def inputs(seed: int = 6) -> dict[str, NDArray[np.float32]]:
    return {"input_ids": np.random.default_rng(seed).normal(size=(ROWS, WIDTH)).astype(np.float32)}


@pytest.mark.parametrize("engine", [ONNX, OPENVINO])
def test_products_are_rounded_and_the_last_layer_stays(engine, matrix, tmp_path):
    path = model_of(tmp_path / "network.onnx", matrix)
    expected = logits(path, inputs())
    ROUNDERS[engine](path, inputs(7))
    onnx.checker.check_model(str(path), full_check=True)
    found = logits(path, inputs())
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    kept = types(path)
    assert kept["head"] == onnx.TensorProto.FLOAT
    assert "w" not in kept
    assert list(kept.values()).count(onnx.TensorProto.INT8) == 1  # both products share it


def test_a_group_has_its_own_scale(matrix, tmp_path):
    matrix[:GROUP, 4] *= 1000
    path = model_of(tmp_path / "network.onnx", matrix)
    ROUNDERS[OPENVINO](path, inputs())
    from onnx import numpy_helper

    arrays = [numpy_helper.to_array(own) for own in onnx.load(path).graph.initializer if own.name != "head"]
    whole = next(own for own in arrays if own.dtype == np.int8)
    scales = next(own for own in arrays if own.dtype == np.float32)
    rebuilt = (whole * scales).reshape(matrix.shape)
    steps = np.repeat(scales[:, 0], GROUP, axis=0)  # (inputs, outputs)
    assert (np.abs(rebuilt - matrix) <= 0.5001 * steps).all()
    assert scales[0, 0, 4] > 100 * scales[1, 0, 4]


def test_uneven_inputs_keep_their_product_in_fp32(matrix, tmp_path):
    model, uneven = onnx.load(model_of(tmp_path / "network.onnx", matrix)), inputs()
    uneven["input_ids"][0, 0] = 1e4
    assert rounding._even(model, inputs()) == ["first", "second"]
    assert rounding._even(model, uneven) == ["second"]
