"""Convert an encoder with pickled weights, the form used by ModelScope and many hub pages, to a loadable folder.

``pytorch_model.bin`` is unpickled by torch's restricted reader, which builds tensors and plain containers and calls
nothing else. The result contains only safetensors and JSON.
"""

import pickle
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from patent_hier.artifacts import file_digest, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ConfigError
from patent_hier.features.foreign_code import WEIGHTS_INDEX, refuse_code
from patent_hier.features.pretrained import CONFIG, TOKENIZER, TOKENIZER_FILES, VOCABULARY, WEIGHTS
from patent_hier.models.encoder import build_encoder
from patent_hier.sanitize import reason

PICKLED = "pytorch_model.bin"
_INDEX = "pytorch_model.bin.index.json"
_OLD_CONFIG = "bert_config.json"  # of the first BERTs, which had no model_type
_OTHERS = ("*.h5", "*.msgpack", "*.ckpt.*", "*.ckpt", "*.onnx", "*.pdparams")  # TensorFlow, Flax, ONNX, Paddle
_NESTED = ("state_dict", "model_state_dict", "model")  # keys under which training checkpoints hold the weights
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # from TensorFlow's BERT
_KIND = "encoder"


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        kept: Number of the encoder's tensors.
        dropped: Number of tensors that do not belong to an encoder, such as pre-training heads, by the first part of
            their names.
    """

    kept: int
    dropped: Mapping[str, int]

    def in_words(self) -> str:
        """Return a one-line summary, such as ``197 tensors, without 8 that no encoder needs (cls 6, pooler 2)``."""
        if not self.dropped:
            return f"{self.kept} tensors"
        named = ", ".join(f"{name} {count}" for name, count in self.dropped.items())
        return f"{self.kept} tensors, without {sum(self.dropped.values())} that no encoder needs ({named})"


def convert_encoder(source: Path, target: Path) -> Conversion:
    """Write an encoder to a new folder, with its weights as safetensors.

    Args:
        source: Folder with ``pytorch_model.bin`` (or its parts and their index), ``config.json``, and ``vocab.txt`` or
            ``tokenizer.json``.
        target: Folder that is new or empty, or holds an earlier converted encoder, which is replaced completely.

    Raises:
        ConfigError: If the source is not such a folder, its pickle holds more than tensors, or the tensors do not fit
            its configuration; or if the target holds something else.
        ArtifactError: If its JSON cannot be read.
    """
    files = _weight_files(source)
    if not any((source / name).is_file() for name in (TOKENIZER, VOCABULARY)):
        raise ConfigError(f"{source} has neither {TOKENIZER} nor {VOCABULARY}; add one of them")
    config = _config(source)
    with torch.device("meta"):  # names and shapes, no memory
        wanted = build_encoder(config).network.state_dict()
    weights = {_new_name(name): tensor for file in files for name, tensor in _tensors(file)}
    prefix = _prefix(weights, wanted, source)
    kept = {name: _fitting(name, weights.pop(prefix + name), expected, source) for name, expected in wanted.items()}
    dropped = Counter(name.removeprefix(prefix).split(".")[0] for name in weights)
    with exclusive(target):
        refuse_foreign(target, _KIND)
        with atomic_folder(target) as staging:
            save_file(kept, staging / WEIGHTS, metadata={"format": "pt"})
            write_json(staging / CONFIG, config)
            for name in TOKENIZER_FILES:
                if (source / name).is_file():
                    shutil.copyfile(source / name, staging / name)
            converted = {file.name: file_digest(file) for file in files}
            seal(staging, {"kind": _KIND, "name": source.name, "converted": converted, "dropped": dict(dropped)})
    return Conversion(len(kept), dict(dropped))


def _weight_files(source: Path) -> list[Path]:
    """Return the pickled files of a folder.

    Raises:
        ConfigError: If the folder has none, or its weights have another format.
    """
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder; give one with {PICKLED}, {CONFIG} and {VOCABULARY}")
    if (source / WEIGHTS).is_file() or (source / WEIGHTS_INDEX).is_file():
        raise ConfigError(f"{source} already has {WEIGHTS}; use it directly: encoder.path={source}")
    if (source / PICKLED).is_file():
        return [source / PICKLED]
    if (source / _INDEX).is_file():
        index = read_json(source / _INDEX)
        parts = index.get("weight_map") if isinstance(index, dict) else None
        names = sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else []
        if not names or not all(Path(name).name == name and (source / name).is_file() for name in names):
            raise ConfigError(f"{source / _INDEX} lists files that are not in its folder; copy the encoder again")
        return [source / name for name in names]
    if other := sorted(file.name for pattern in _OTHERS for file in source.glob(pattern)):
        raise ConfigError(
            f"{source} has only weights of another framework ({other[0]}); use the PyTorch files of this encoder, or "
            "convert it with that framework's tools"
        )
    raise ConfigError(f"{source} has no {PICKLED}; download the encoder's weights as well")


def _config(source: Path) -> dict[str, Any]:
    """Return the configuration; a BERT's old configuration without a type gets one."""
    is_old = not (source / CONFIG).is_file() and (source / _OLD_CONFIG).is_file()
    file = source / (_OLD_CONFIG if is_old else CONFIG)
    if not file.is_file():
        raise ConfigError(f"{source} has no {CONFIG}; download it as well")
    config = read_json(file)
    if not isinstance(config, dict):
        raise ConfigError(f"{file} is not a configuration; copy the encoder again")
    refuse_code(config, file)
    if is_old:
        config = {"model_type": "bert", **config}
    if "model_type" not in config:
        raise ConfigError(f'{file} has no model_type; if this is a BERT, add "model_type": "bert" to it')
    return config


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the names and tensors of a pickled file; other entries, such as settings, are skipped."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{file} is damaged or holds more than tensors and might run code, so it is not read; get the encoder as "
            "safetensors from another source"
        ) from error
    except (EOFError, KeyError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read ({reason(error)}); download it again") from error
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} holds no named weights; download the encoder again")
    for name, tensor in content.items():
        if isinstance(tensor, Tensor):
            yield str(name), tensor


def _new_name(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _prefix(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: Path) -> str:
    """Return the prefix of the encoder's own names, such as ``bert.`` if it was saved together with a head.

    Raises:
        ConfigError: If the encoder is missing, or present more than once.
    """
    found = Counter(
        name.removesuffix(own) for name in weights for own in wanted if name == own or name.endswith(f".{own}")
    )
    whole = [prefix for prefix in found if all(prefix + own in weights for own in wanted)]
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise ConfigError(f"{source} holds several encoders ({', '.join(sorted(whole))}); save only the one you need")
    likeliest = max(found, key=lambda prefix: found[prefix], default="")
    missing = [own for own in wanted if likeliest + own not in weights]
    raise ConfigError(
        f"{source} lacks {len(missing)} of {len(wanted)} weights that its configuration requires, such as "
        f"{missing[0]}; download it again, or correct {CONFIG}"
    )


def _fitting(name: str, tensor: Tensor, expected: Tensor, source: Path) -> Tensor:
    """Return a copy of the tensor that shares no memory with others, as safetensors requires.

    Raises:
        ConfigError: If its shape is not the expected one.
    """
    if tensor.shape != expected.shape:
        raise ConfigError(
            f"{name} in {source} has the shape {list(tensor.shape)}, but its configuration requires "
            f"{list(expected.shape)}; correct {CONFIG}"
        )
    return tensor.detach().to_dense().clone(memory_format=torch.contiguous_format)
