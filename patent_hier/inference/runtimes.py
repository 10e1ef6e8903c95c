"""Networks computed by other runtimes in place of PyTorch: ids and mask in, logits out."""

import copy
import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from patent_hier.errors import ConfigError, MissingExtraError, PatentHierError
from patent_hier.inference.converted import converted
from patent_hier.inference.engines import ONNX, OPENVINO, TORCH, Engine
from patent_hier.inference.onnx_network import INPUTS, OUTPUT, open_session, require_libraries
from patent_hier.inference.rounding import GROUP
from patent_hier.models.saved import NodeClassifier
from patent_hier.sanitize import reason
from patent_hier.settings import BF16

_Arrays = dict[str, NDArray[np.int64]]
_HINTS = {BF16: "bf16"}  # precision hints for OpenVINO; the default is f32, except where the file is quantised


class HalfPrecision(nn.Module):
    """A network whose matrices are multiplied in bfloat16 by PyTorch's automatic casting.

    Casting would round the weights again for each batch, so the weights of linear layers and convolutions are rounded
    once.

    Args:
        network: The network; it is not changed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for layer in self.network.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
                layer.to(torch.bfloat16)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32 logits ``(batch, num_outputs)`` for ids and mask ``(batch, seq_len)``."""
        with torch.autocast(input_ids.device.type, torch.bfloat16):
            logits: Tensor = self.network(input_ids, attention_mask)
        return logits.float()


class Foreign(nn.Module):
    """A network that another runtime computes on the CPU.

    Args:
        score: Function from :data:`INPUTS` to logits; it must be thread-safe.
    """

    def __init__(self, score: Callable[[_Arrays], NDArray[np.float32]]) -> None:
        super().__init__()
        self._score = score

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits ``(batch, num_outputs)`` for ids and mask ``(batch, seq_len)``."""
        arrays = zip(INPUTS, (input_ids.numpy(), attention_mask.numpy()), strict=True)
        return torch.from_numpy(self._score(dict(arrays)))


def open_network(
    classifier: NodeClassifier, engine: Engine, cache: Path | None, files: Mapping[str, str] | None
) -> nn.Module:
    """Open a network on an engine; the arguments are those of :func:`patent_hier.inference.moving.stand_in`.

    Raises:
        ConfigError: If the network cannot be converted, or a package is missing.
    """
    assert isinstance(classifier.model, nn.Module)
    if engine.name == TORCH:
        return HalfPrecision(classifier.model).eval()
    if engine.name == OPENVINO:
        _openvino()
    require_libraries()  # both engines read files from PyTorch's exporter
    try:
        with converted(classifier, engine, cache, files) as path:
            return Foreign(_OPENERS[engine.name](path, engine.precision))
    except (PatentHierError, OSError):
        raise
    except Exception as error:  # both libraries have their own exceptions
        raise ConfigError(
            f"{engine.options} cannot run the network of node {classifier.node} ({reason(error)}); omit the option"
        ) from error


def _open_onnx(path: Path, precision: str) -> Callable[[_Arrays], NDArray[np.float32]]:
    session = open_session(path)
    known = {one.name for one in session.get_inputs()}

    def score(arrays: _Arrays) -> NDArray[np.float32]:
        (logits,) = session.run([OUTPUT], {name: value for name, value in arrays.items() if name in known})
        return logits  # type: ignore[no-any-return]  # onnxruntime is untyped

    return score


def _open_openvino(path: Path, precision: str) -> Callable[[_Arrays], NDArray[np.float32]]:
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": _HINTS.get(precision, "f32"),
        "PERFORMANCE_HINT": "LATENCY",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
    }
    core = _openvino().Core()
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    known = {name for one in request.model_inputs for name in one.names}
    turn = threading.Lock()  # a request computes one batch at a time

    def score(arrays: _Arrays) -> NDArray[np.float32]:
        with turn:
            return request.infer({name: value for name, value in arrays.items() if name in known})[OUTPUT]  # type: ignore[no-any-return]  # as above

    return score


def _openvino() -> Any:
    """Import OpenVINO without its telemetry package, which would report every import to Google Analytics.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes importing it fail, as Python documents
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError(f"openvino, which --engine {OPENVINO} needs ({reason(error)}),", "openvino") from error


_OPENERS = {ONNX: _open_onnx, OPENVINO: _open_openvino}
