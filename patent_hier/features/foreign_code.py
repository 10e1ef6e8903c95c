"""Refusal of encoder folders that ask for code of their own or from the hub, pickles, or files outside the folder.

``trust_remote_code=False`` and ``use_safetensors=True`` stand where transformers is called; this stands before it,
because both have been passed by: through the implementation of attention (CVE-2026-4372), through a nested
configuration (CVE-2026-5241), and, here tried, through the index of sharded weights, whose files transformers loads by
their suffix.
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
# Keys of a config.json that make transformers run or fetch what is not in transformers, and keys that may.
_RUNS_CODE = (
    "auto_map", "trust_remote_code", "use_kernels", "kernel_config", "quantization_config", "backbone",
    "use_pretrained_backbone", "use_timm_backbone",
)  # fmt: skip
IMPLEMENTATIONS = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal",
)  # fmt: skip


def refuse_code(config: dict[str, Any], where: Path | str = "config.json") -> None:
    """Refuse a configuration that asks for code, at any depth.

    Args:
        config: Content of a ``config.json``.
        where: The file, for the message.

    Raises:
        ConfigError: Naming the first such key.
    """
    for key, value in _entries(config):
        hub_name = key in IMPLEMENTATIONS and "/" in json.dumps(value)
        if hub_name or (key in _RUNS_CODE and value):
            raise ConfigError(
                f"{where} has {key}, which asks for code that is not in transformers; none is ever run here: choose an "
                f"encoder without it, or, if transformers knows its model_type, take {key} out"
            )


def refuse_code_in(folder: Path) -> None:
    """Refuse an encoder's folder that asks for code, pickles or files outside it.

    Raises:
        ConfigError: Naming the file.
        ArtifactError: If its JSON cannot be read, or there are pipes, devices or sockets in it.
    """
    require_only_files(folder)
    refuse_code(read_json(folder / "config.json"), folder / "config.json")
    if (folder / _ADAPTER).is_file():
        raise ConfigError(
            f"{folder / _ADAPTER} makes this an adapter to another encoder; merge them and save the whole encoder"
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
                f"{file} names {shown(shard)}, which is no {_SUFFIX} file of its folder; copy the encoder again"
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value in nested dictionaries and lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
