"""Weights of an encoder with fewer word pieces: fewer rows in its embedding and in the layer that predicts tokens."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForMaskedLM

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import WEIGHTS, EncoderFiles
from patent_hier.models.encoder import build_encoder
from patent_hier.sanitize import reason

_MORE = 64  # extra pieces of a second network; weights whose shapes then differ have a row per piece


def trim_weights(files: EncoderFiles, kept: NDArray[np.bool_], half: bool, folder: Path) -> None:
    """Write ``model.safetensors`` with only the rows of the kept pieces; other weights are copied.

    Args:
        files: Files of the encoder.
        kept: Which pieces stay, ``(n,)`` by id; rows after the last piece, which no text uses, are dropped.
        half: Whether to write float16; otherwise the weights keep their type.
        folder: Target folder.

    Raises:
        ConfigError: If the weights cannot be read, have no row for a piece, or are too large for float16.
    """
    pieces = torch.from_numpy(np.flatnonzero(kept))
    size = int(files.config["vocab_size"])
    if len(kept) > size:
        raise ConfigError(f"the tokenizer in {files.folder} has {len(kept)} tokens, but config.json has {size}")
    known, with_rows = _tensor_names(files.config)
    weights: dict[str, Tensor] = {}
    for file in sorted(files.folder.glob("*.safetensors")):
        try:
            weights.update(load_file(file))
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"{file} cannot be read ({reason(error)}); copy the encoder again") from error
    for name, tensor in weights.items():
        if _is_one_of(name, with_rows):
            tensor = tensor.index_select(0, pieces)
        elif size in tensor.shape and not _is_one_of(name, known):
            raise ConfigError(f"{files.folder} has weights {name} of an unknown layer; remove them first")
        if half and tensor.is_floating_point():
            tensor = tensor.to(torch.float16)
            if not tensor.isfinite().all():
                raise ConfigError(f"the weights {name} are too large for half precision; omit --half")
        weights[name] = tensor.contiguous()
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def trimmed_config(config: dict[str, Any], new_ids: NDArray[np.int64], half: bool) -> dict[str, Any]:
    """Return the ``config.json`` of the encoder with fewer pieces.

    Args:
        config: Content of the original ``config.json``.
        new_ids: New id of each old id, ``(n,)``; -1 for dropped pieces.
        half: Whether the weights are in float16.

    Raises:
        ConfigError: If the padding id changes in a network that counts positions from it, such as RoBERTa.
    """
    trimmed = {**config, "vocab_size": int((new_ids >= 0).sum())}
    for key, value in config.items():
        if key.endswith("_token_id") and isinstance(value, int):
            new_id = int(new_ids[value]) if 0 <= value < len(new_ids) else -1
            trimmed[key] = new_id if new_id >= 0 else None
    padding = "pad_token_id"
    if "roberta" in str(config.get("model_type")) and trimmed.get(padding) != config.get(padding):
        raise ConfigError(
            f"{padding} would become {trimmed.get(padding)}, but this encoder counts positions from it; do not trim it"
        )
    if half:
        trimmed["torch_dtype"] = "float16"
        trimmed.pop("dtype", None)
    return trimmed


def _tensor_names(config: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names of all weights of the architecture, and of those with one row per piece."""
    first, second = (_shapes({**config, "vocab_size": int(config["vocab_size"]) + more}) for more in (0, _MORE))
    return set(first), {name for name, shape in first.items() if second[name] != shape}


def _shapes(config: dict[str, Any]) -> dict[str, torch.Size]:
    with torch.device("meta"):  # names and shapes, no memory
        network: Any = build_encoder(config).network
        with contextlib.suppress(ValueError):  # for an architecture without this head
            network = AutoModelForMaskedLM.from_config(network.config)
        return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _is_one_of(name: str, names: set[str]) -> bool:
    """Return whether a file's tensor name is in ``names``, allowing for a missing or additional prefix."""
    return any(name == known or known.endswith(f".{name}") or name.endswith(f".{known}") for known in names)
