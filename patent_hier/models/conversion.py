"""An encoder with pickled weights, as ModelScope and many hub pages have it, made into a folder that we load.

``pytorch_model.bin`` is unpickled by torch's restricted reader, which builds tensors and plain containers and calls
nothing else. What comes out has safetensors and JSON only.
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
_OLD_CONFIG = "bert_config.json"  # of the first BERTs; without it there was nothing but BERT, and no model_type
_OTHERS = ("*.h5", "*.msgpack", "*.ckpt.*", "*.ckpt", "*.onnx", "*.pdparams")  # TensorFlow, Flax, ONNX, Paddle
_NESTED = ("state_dict", "model_state_dict", "model")  # keys of training checkpoints that hold the weights
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # of TensorFlow's BERT
_KIND = "encoder"


@dataclass(frozen=True)
class Conversion:
    """What became of an encoder's weights.

    Attributes:
        kept: Number of tensors that the encoder has.
        dropped: By the beginning of their names, how many tensors belong to no encoder: heads of its pre-training.
    """

    kept: int
    dropped: Mapping[str, int]

    def in_words(self) -> str:
        """One line, such as ``197 tensors, without 8 that no encoder needs (cls 6, pooler 2)``."""
        if not self.dropped:
            return f"{self.kept} tensors"
        named = ", ".join(f"{name} {count}" for name, count in self.dropped.items())
        return f"{self.kept} tensors, without {sum(self.dropped.values())} that no encoder needs ({named})"


def convert_encoder(source: Path, target: Path) -> Conversion:
    """Write an encoder's folder anew, with its weights as safetensors.

    Args:
        source: Folder with ``pytorch_model.bin`` (or its parts and their index), ``config.json``, and ``vocab.txt`` or
            ``tokenizer.json``.
        target: New, empty, or an earlier encoder of ours, which is replaced as a whole.

    Raises:
        ConfigError: If the source is no such folder, its pickle holds more than tensors, or they do not fit its
            configuration; or if the target holds something else.
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
    """The pickled files of a folder, with the refusal of every other form."""
    if not source.is_dir():
        raise ConfigError(f"{source} is not a folder; name one with {PICKLED}, {CONFIG} and {VOCABULARY}")
    if (source / WEIGHTS).is_file() or (source / WEIGHTS_INDEX).is_file():
        raise ConfigError(f"{source} has {WEIGHTS} already; use it as it is: encoder.path={source}")
    if (source / PICKLED).is_file():
        return [source / PICKLED]
    if (source / _INDEX).is_file():
        index = read_json(source / _INDEX)
        parts = index.get("weight_map") if isinstance(index, dict) else None
        names = sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else []
        if not names or not all(Path(name).name == name and (source / name).is_file() for name in names):
            raise ConfigError(f"{source / _INDEX} names files that are not in its folder; copy the encoder again")
        return [source / name for name in names]
    if other := sorted(file.name for pattern in _OTHERS for file in source.glob(pattern)):
        raise ConfigError(
            f"{source} has weights of another framework only ({other[0]}); take the PyTorch files of this encoder, or "
            "convert it with the tools of that framework"
        )
    raise ConfigError(f"{source} has no {PICKLED}; download the encoder's weights too")


def _config(source: Path) -> dict[str, Any]:
    """The configuration, with its type even where that went without saying."""
    is_old = not (source / CONFIG).is_file() and (source / _OLD_CONFIG).is_file()
    file = source / (_OLD_CONFIG if is_old else CONFIG)
    if not file.is_file():
        raise ConfigError(f"{source} has no {CONFIG}; download it too")
    config = read_json(file)
    if not isinstance(config, dict):
        raise ConfigError(f"{file} is no configuration; copy the encoder again")
    refuse_code(config, file)
    if is_old:
        config = {"model_type": "bert", **config}
    if "model_type" not in config:
        raise ConfigError(f'{file} has no model_type; if this is a BERT, add "model_type": "bert" to it')
    return config


def _tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a pickled file; numbers and settings beside them are not meant."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{file} holds more than tensors, or is damaged; it is not read, because it might run code: take the "
            "encoder from another place, as safetensors"
        ) from error
    except (EOFError, KeyError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read ({reason(error)}); download it again") from error
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} holds no weights by name; download the encoder again")
    for name, tensor in content.items():
        if isinstance(tensor, Tensor):
            yield str(name), tensor


def _new_name(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _prefix(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: Path) -> str:
    """What stands before the encoder's own names, such as ``bert.`` where a head was saved with it.

    Raises:
        ConfigError: If the encoder is not there, or more than once.
    """
    found = Counter(
        name.removesuffix(own) for name in weights for own in wanted if name == own or name.endswith(f".{own}")
    )
    whole = [prefix for prefix in found if all(prefix + own in weights for own in wanted)]
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise ConfigError(f"{source} holds several encoders ({', '.join(sorted(whole))}); save the one that is meant")
    likeliest = max(found, key=lambda prefix: found[prefix], default="")
    missing = [own for own in wanted if likeliest + own not in weights]
    raise ConfigError(
        f"{source} lacks {len(missing)} of {len(wanted)} weights that its configuration asks for, such as "
        f"{missing[0]}; download it again, or correct {CONFIG}"
    )


def _fitting(name: str, tensor: Tensor, expected: Tensor, source: Path) -> Tensor:
    """A tensor of its own: not a view of one that others share, as safetensors wants it."""
    if tensor.shape != expected.shape:
        raise ConfigError(
            f"{name} in {source} has the shape {list(tensor.shape)}, and its configuration asks for "
            f"{list(expected.shape)}; correct {CONFIG}"
        )
    return tensor.detach().to_dense().clone(memory_format=torch.contiguous_format)
