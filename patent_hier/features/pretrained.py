"""Find an encoder's files in the package, a local folder, the hub cache or the hub, or write those of the demo encoder.

This module handles only file names and JSON, without torch or transformers, so that settings are checked and finished
nodes recognised without delay. :mod:`patent_hier.models.encoder` loads the weights.
"""

import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from patent_hier.artifacts import DigestCache, find_damage, fingerprint, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json
from patent_hier.errors import ConfigError
from patent_hier.features.foreign_code import WEIGHTS_INDEX, refuse_code_in
from patent_hier.features.vocabulary import demo_vocabulary
from patent_hier.settings import DemoEncoderSettings, EncoderSettings

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
VOCABULARY = "vocab.txt"
TOKENIZER_CONFIG = "tokenizer_config.json"
_DOWNLOAD = ("*.json", "*.safetensors", "vocab.txt", "README.md", "LICENSE*")
TOKENIZER_FILES = (TOKENIZER, VOCABULARY, TOKENIZER_CONFIG)
DEMO_ENCODER_VERSION = 1
_MAX_POSITIONS = 512
PACKAGED_ENCODERS = Path(str(resources.files("patent_hier.resources"))) / "encoders"
_IN_PACKAGE = "patent_hier"
# GPT-2, GPT-Neo and DistilBERT use names of their own, which transformers maps to the usual ones.
_ALIASES = {
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "hidden_size": ("n_embd", "dim"),
    "max_position_embeddings": ("n_positions",),
}
# Types that are always decoders: no token attends to later ones. BERT-like types are decoders only with is_decoder set.
_DECODERS = frozenset(
    ("biogpt", "bloom", "codegen", "cohere", "gemma", "gemma2", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj",
     "granite", "llama", "mistral", "modernbert-decoder", "olmo", "olmo2", "openai-gpt", "opt", "phi", "phi3", "qwen2",
     "qwen3", "smollm3", "stablelm", "starcoder2", "xglm")
)  # fmt: skip


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder on disk.

    Attributes:
        folder: Folder in transformers format.
        config: Its ``config.json``.
        has_weights: Whether it holds weights (the demo encoder's folder does not).
    """

    folder: Path
    config: dict[str, Any]
    has_weights: bool

    @property
    def num_layers(self) -> int:
        """Number of Transformer layers."""
        return int(_value(self.config, "num_hidden_layers"))

    @property
    def hidden_size(self) -> int | None:
        """Width of the hidden states; None if ``config.json`` gives it under an unknown name."""
        value = _value(self.config, "hidden_size")
        return None if value is None else int(value)

    @property
    def is_causal(self) -> bool:
        """Whether the encoder is a decoder, in which tokens attend only to earlier tokens."""
        return is_causal(self.config)

    def vocabulary_digest(self, digests: DigestCache) -> str:
        """Return the fingerprint of the tokenizer's files, which decide the token ids."""
        return fingerprint({name: digests.of(self.folder / name) for name in _present(self.folder, TOKENIZER_FILES)})

    def digest(self, digests: DigestCache, pretrained: bool) -> str:
        """Return the fingerprint of architecture, vocabulary and, if ``pretrained``, weights."""
        weights = sorted(self.folder.glob("*.safetensors")) if pretrained else []
        files = [self.folder / CONFIG, *weights]
        return fingerprint([self.vocabulary_digest(digests), *(digests.of(file) for file in files)])


def is_causal(config: dict[str, Any]) -> bool:
    """Return whether a ``config.json`` describes a decoder, such as GPT-2, in which no token attends to later tokens.

    Args:
        config: Content of the ``config.json``.
    """
    return bool(config.get("is_decoder")) or config.get("model_type") in _DECODERS


def locate(settings: EncoderSettings, cache: Path) -> EncoderFiles:
    """Find the encoder that the settings name.

    Args:
        settings: The encoder group of a run's settings.
        cache: The run's cache folder; the demo encoder is written there.

    Raises:
        ConfigError: If the encoder cannot be found or used; the message names the option to set.
    """
    if isinstance(settings, DemoEncoderSettings):
        folder = _demo_folder(settings, cache)
    elif settings.path is None:
        raise ConfigError(f"encoder={settings.name} needs a folder; set encoder.path=FOLDER")
    else:
        folder = local_folder(settings.path) or _from_hub(settings.path, settings.revision)
    return _inspect(folder, settings)


def local_folder(path: str) -> Path | None:
    """Return the local or packaged folder that ``encoder.path`` names; None if it is not one.

    Raises:
        ConfigError: If the path begins with ``patent_hier/`` and the package has no such encoder.
    """
    if (name := _packaged_name(path)) is not None:
        return _packaged(name)
    return Path(path) if Path(path).is_dir() else None


def _inspect(folder: Path, settings: EncoderSettings) -> EncoderFiles:
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"encoder folder {folder} has no {CONFIG}; point encoder.path at a transformers folder")
    if not _present(folder, (TOKENIZER, VOCABULARY)):
        raise ConfigError(f"encoder folder {folder} has neither {TOKENIZER} nor {VOCABULARY}; add one of them")
    has_weights = bool(_present(folder, (WEIGHTS, WEIGHTS_INDEX)))
    if settings.pretrained and not has_weights:
        raise _no_weights(folder, settings)
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise ConfigError(f"{folder / CONFIG} is not a configuration; copy the encoder again")
    refuse_code_in(folder)
    if _value(config, "num_hidden_layers") is None:
        raise ConfigError(
            f"{folder / CONFIG} has neither num_hidden_layers nor n_layer; use a Transformer for text, such as BERT, "
            "ModernBERT or GPT-2"
        )
    longest = _positions(config, settings.max_length)
    if settings.max_length > longest:
        raise ConfigError(
            f"encoder.max_length={settings.max_length} is more than the encoder's {longest} positions; lower it"
        )
    return EncoderFiles(folder, config, has_weights)


def _no_weights(folder: Path, settings: EncoderSettings) -> ConfigError:
    """Return the error for a folder without safetensors, with the steps that produce them."""
    start = f"encoder folder {folder} has no {WEIGHTS}"
    if any(folder.glob("pytorch_model*.bin")):
        return ConfigError(
            f"{start}, and pytorch_model.bin is pickled; run 'patent-hier convert-encoder {folder} OUT', "
            "then set encoder.path=OUT"
        )
    if settings.path is not None and not Path(settings.path).is_dir():  # from the hub, downloaded without pickles
        return ConfigError(
            f"{start}; run 'hf download {settings.path} --local-dir FOLDER' and "
            "'patent-hier convert-encoder FOLDER OUT', then set encoder.path=OUT"
        )
    return ConfigError(f"{start}; copy it there, or set encoder.pretrained=false for random weights")


def _positions(config: dict[str, Any], otherwise: int) -> int:
    """Return the number of tokens that the encoder has positions for."""
    positions = int(_value(config, "max_position_embeddings") or otherwise)
    if "roberta" in str(config.get("model_type")):  # its positions start after the padding id
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions


def _value(config: dict[str, Any], key: str) -> Any:
    """Return a value of a ``config.json`` under its usual or the architecture's own name; None if it has neither."""
    return next((config[name] for name in (key, *_ALIASES[key]) if config.get(name) is not None), None)


def _packaged_name(path: str) -> str | None:
    """Return NAME if the path is ``patent_hier/NAME``, else None: ``./patent_hier/NAME`` is a folder of the user."""
    first, slash, name = path.partition("/")
    return name if slash and first == _IN_PACKAGE and "/" not in name else None


def _packaged(name: str) -> Path:
    """Return the folder of an encoder that is part of the package.

    Raises:
        ConfigError: If the package has no such encoder.
    """
    present = sorted(file.parent.name for file in PACKAGED_ENCODERS.glob(f"*/{CONFIG}"))
    if name not in present:
        there = ", ".join(f"{_IN_PACKAGE}/{one}" for one in present) or "none"
        raise ConfigError(
            f"encoder.path={_IN_PACKAGE}/{name} is not in this installation of the package, which has {there}; "
            "choose one of these, or set encoder.path=FOLDER"
        )
    return PACKAGED_ENCODERS / name


def _from_hub(name: str, revision: str | None) -> Path:
    """Return the folder of a hub model, from the hub cache or downloaded (JSON, vocabulary, safetensors, licence).

    Raises:
        ConfigError: If ``name`` is a path to a folder that does not exist, or the encoder cannot be downloaded.
    """
    absent = f"encoder.path={name}: no such folder on this machine"
    if _is_path(name):
        written_out = " and write the full path instead of ~" if name.startswith("~") else ""
        raise ConfigError(f"{absent}; check the path{written_out}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    patterns = list(_DOWNLOAD)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except HFValidationError as error:
        raise ConfigError(f"{absent}; check the path") from error
    except LocalEntryNotFoundError:
        pass  # not in the cache, so the hub is asked next
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, etag_timeout=5))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        wanted = f"{name} in revision {revision}" if revision else name
        raise ConfigError(f"{absent}, and the hub has no encoder {wanted}; check the path or name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        words = f"hf download {name}{f' --revision {revision}' if revision else ''} --local-dir FOLDER"
        if "/" not in name:  # probably a mistyped folder, since few hub names lack an owner
            start = f"{absent}, and the hub cannot be reached; check the path, or, if {name} is a hub name, "
        else:
            start = f"encoder {name} is neither a folder nor in the hub cache here, and the hub cannot be reached; "
        raise ConfigError(
            f"{start}{mirror_hint()}, or run '{words}' on a connected machine, copy FOLDER here and set "
            "encoder.path=FOLDER (or use encoder=demo)"
        ) from error


def _is_path(name: str) -> bool:
    """Return whether a value of ``encoder.path`` can only be a path, and not a hub name such as ``owner/name``."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1


def mirror_hint() -> str:
    """Return advice about the hub's address, as part of a message."""
    if address := os.environ.get("HF_ENDPOINT"):
        return f"check HF_ENDPOINT={address}"
    return "set HF_ENDPOINT to a mirror, such as HF_ENDPOINT=https://hf-mirror.com"


def demo_config(settings: DemoEncoderSettings) -> dict[str, Any]:
    """Return the content of the demo encoder's ``config.json``.

    Raises:
        ConfigError: If the number of attention heads does not divide the hidden size.
    """
    if settings.hidden_size % settings.num_attention_heads:
        raise ConfigError(
            f"encoder.num_attention_heads={settings.num_attention_heads} does not divide "
            f"encoder.hidden_size={settings.hidden_size}; change one of them"
        )
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(demo_vocabulary()),
        "hidden_size": settings.hidden_size,
        "num_hidden_layers": settings.num_hidden_layers,
        "num_attention_heads": settings.num_attention_heads,
        "intermediate_size": settings.intermediate_size,
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
        "max_position_embeddings": _MAX_POSITIONS,
        "pad_token_id": 0,
    }


def _demo_folder(settings: DemoEncoderSettings, cache: Path) -> Path:
    """Write the demo encoder in the usual layout: config.json, tokenizer.json, vocab.txt; no weights."""
    config = demo_config(settings)
    folder = cache / "encoders" / f"demo-{fingerprint([DEMO_ENCODER_VERSION, config])}"
    with exclusive(folder):
        if find_damage(folder) is not None:
            if folder.exists():
                print(f"{folder} is damaged; it is rebuilt", flush=True)
            with atomic_folder(folder) as staging:
                _write_demo(staging, config, demo_vocabulary())
                seal(staging, {"kind": "encoder", "name": "demo"})
    return folder


def _write_demo(folder: Path, config: dict[str, Any], vocabulary: list[str]) -> None:
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / VOCABULARY).write_text("\n".join(vocabulary) + "\n", "utf-8")
    (folder / TOKENIZER_CONFIG).write_text(json.dumps({"do_lower_case": True, "model_max_length": 512}) + "\n", "utf-8")
    tokens = {token: number for number, token in enumerate(vocabulary)}
    BertWordPieceTokenizer(tokens, lowercase=True).save(str(folder / TOKENIZER))


def _present(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (folder / name).is_file()]
