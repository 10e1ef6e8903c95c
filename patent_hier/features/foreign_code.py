"""Reject encoder folders that request custom code, code from the hub, pickles, or files outside the folder.

The calls to transformers set ``trust_remote_code=False`` and ``use_safetensors=True``. These checks run first, because
both settings have been bypassed: through the attention implementation (CVE-2026-4372), through a nested configuration
(CVE-2026-5241), and, in our own tests, through the index of sharded weights, whose files transformers loads by suffix.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from patent_hier.artifacts import require_only_files
from patent_hier.atomic import read_json
from patent_hier.errors import ConfigError
from patent_hier.sanitize import shown

WEIGHTS_INDEX = "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
_SUFFIX = ".safetensors"
# Keys of a config.json that make, or may make, transformers run or fetch code that is not part of transformers.
_RUNS_CODE = (
    "auto_map", "trust_remote_code", "use_kernels", "kernel_config", "quantization_config", "backbone",
    "use_pretrained_backbone", "use_timm_backbone",
)  # fmt: skip
IMPLEMENTATIONS = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal",
)  # fmt: skip


def refuse_code(config: dict[str, Any], where: Path | str = "config.json") -> None:
    """Reject a configuration that requests code, at any depth.

    Args:
        config: Content of a ``config.json``.
        where: The file, for the message.

    Raises:
        ConfigError: If a key requests code; the message names the first one.
    """
    for key, value in _entries(config):
        hub_name = key in IMPLEMENTATIONS and "/" in json.dumps(value)
        if hub_name or (key in _RUNS_CODE and value):
            raise ConfigError(
                f"{where} has {key}, which requests code outside transformers, and such code is never run; choose an "
                f"encoder without it, or, if transformers supports its model_type, remove {key}"
            )


def refuse_code_in(folder: Path) -> None:
    """Reject an encoder folder that requests code, pickles or files outside it.

    Raises:
        ConfigError: If it requests any of these; the message names the file.
        ArtifactError: If its JSON cannot be read, or it contains pipes, devices or sockets.
    """
    require_only_files(folder)
    refuse_code(read_json(folder / "config.json"), folder / "config.json")
    if (folder / _ADAPTER).is_file():
        raise ConfigError(
            f"{folder / _ADAPTER} marks this as an adapter to another encoder; merge the two and save the full encoder"
        )
    if (folder / WEIGHTS_INDEX).is_file():
        _check_index(folder / WEIGHTS_INDEX)


def _check_index(file: Path) -> None:
    index = read_json(file)
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict):
        raise ConfigError(f"{file} has no weight_map; copy the encoder again")
    for shard in shards.values():
        if not (isinstance(shard, str) and shard.endswith(_SUFFIX) and Path(shard).name == shard):
            raise ConfigError(
                f"{file} names {shown(shard)}, which is not a {_SUFFIX} file in its folder; copy the encoder again"
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and its value in nested dictionaries and lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
