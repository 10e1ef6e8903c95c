"""The paper's Figure 5 as a folder: page, figure and facts for an encoder and a pair of texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from patent_hier.artifacts import MANIFEST, DigestCache, find_damage, fingerprint, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import WEIGHTS, EncoderFiles, locate
from patent_hier.features.wordpiece import ENCODER_CONFIG, WordPieceReader
from patent_hier.pipeline.environment import describe_environment
from patent_hier.settings import Settings

ATTENTION_VERSION = 2
TEXT_A = "本实用新型公开了一种固体绝缘开关柜结构。"
TEXT_B = "它包括隔离开关单元、接地装置和隔离插座装置。"
PAPER_LAYERS = (2, 11)
_KIND = "attention"
_DEEP = 12  # number of layers of the paper's encoder


class _Source(NamedTuple):
    """The encoder whose attention is shown."""

    name: str
    files: EncoderFiles
    digest: str  # digest of the encoder's content
    max_length: int  # largest number of tokens of a pair
    seed: int | None  # seed of random weights; None for trained weights


def attention_view(
    settings: Settings,
    text_a: str = TEXT_A,
    text_b: str = TEXT_B,
    *,
    layers: Sequence[int] | None = None,
    model: Path | None = None,
    output: Path | None = None,
) -> tuple[Path, bool]:
    """Write the attention views of a pair of texts unless they exist.

    The folder contains ``attention.html``, ``attention.svg``, ``attention.png``, ``attention.json``, ``manifest.json``.

    Args:
        settings: Settings, of which encoder, seed (for random weights), results folder and cache folder are used.
        text_a: First text; the default pair is the paper's.
        text_b: Second text.
        layers: Layers to show, counted from 1, at least one; None for :func:`default_layers`.
        model: Folder of a trained classifier whose encoder is shown instead of the one in the settings.
        output: Folder to write; None for a folder in the results folder, named by a fingerprint of its content.

    Returns:
        The folder, and whether it was written: False if it existed already.

    Raises:
        ArtifactError: If the model is damaged.
        ConfigError: If the encoder, a layer, a text or the folder cannot be used.

    Source: arXiv:1911.06241, Figure 5.
    """
    source = _trained(model, settings) if model else _from_settings(settings)
    num_layers = source.files.num_layers
    chosen = default_layers(num_layers) if layers is None else check_layers(layers, num_layers)
    name = fingerprint([ATTENTION_VERSION, source.digest, source.seed, text_a, text_b, chosen])
    folder = output or Path(settings.runs_dir) / f"attention-{name}"
    refuse_foreign(folder, _KIND)
    with exclusive(folder):
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("fingerprint") == name:
            return folder, False
        # imported here because they import torch
        from patent_hier.models.attention import attention_maps
        from patent_hier.models.saved import load_classifier
        from patent_hier.report.attention.figure import save_attention_figure
        from patent_hier.report.attention.page import attention_facts, attention_page

        random = source.seed is not None
        trained: Any = load_classifier(source.files.folder).model if model else None
        network = trained.encoder.network if model else None
        maps = attention_maps(
            source.files, text_a, text_b, pretrained=not random, max_length=source.max_length, network=network,
            seed=source.seed or 0,
        )  # fmt: skip
        facts = attention_facts(maps, text_a, text_b, layers=chosen, encoder=source.name, random_weights=random)
        with atomic_folder(folder) as staging:
            (staging / "attention.html").write_text(attention_page(maps, facts), "utf-8")
            write_json(staging / "attention.json", facts)
            save_attention_figure(maps, chosen, staging, random_weights=random)
            manifest = {"kind": _KIND, "fingerprint": name, "encoder": source.name, "encoder_content": source.digest}
            seal(staging, {**manifest, "seed": source.seed, "environment": describe_environment()})
    return folder, True


def default_layers(num_layers: int) -> tuple[int, ...]:
    """Return an early and a late layer: the paper's 2 and 11, or the second and last but one of fewer than 12 layers.

    For encoders with two or three layers, return the last two; for a single layer, return that layer.
    """
    if num_layers >= _DEEP:
        return PAPER_LAYERS
    early = max(1, min(2, num_layers - 1))
    late = min(num_layers, max(early + 1, num_layers - 1))
    return tuple(sorted({early, late}))


def check_layers(layers: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Return the chosen layers in ascending order without duplicates.

    Raises:
        ConfigError: If a layer does not exist or none is given.
    """
    if not layers:
        raise ConfigError(f"no layer is given; choose layers from 1 to {num_layers}")
    for layer in layers:
        if not 1 <= layer <= num_layers:
            raise ConfigError(f"layer {layer} does not exist; this encoder has layers 1 to {num_layers}")
    return tuple(sorted(set(layers)))


def _from_settings(settings: Settings) -> _Source:
    encoder, cache = settings.encoder, Path(settings.cache_dir)
    files = locate(encoder, cache)
    digest = files.digest(DigestCache(cache / "digests.json"), encoder.pretrained)
    return _Source(encoder.name, files, digest, encoder.max_length, None if encoder.pretrained else settings.seed)


def _trained(model: Path, settings: Settings) -> _Source:
    """Return the encoder of a trained classifier."""
    if not model.is_dir():
        raise ConfigError(f"model folder {model} does not exist; give the model folder of a node's result")
    if not (model / ENCODER_CONFIG).is_file():
        raise ConfigError(
            f"model folder {model} has no {ENCODER_CONFIG} and so no encoder; give the model folder of a bertcnn node"
        )
    reader, digests = WordPieceReader.load(model), DigestCache(Path(settings.cache_dir) / "digests.json")
    content = [digests.of(reader.files.folder / name) for name in (ENCODER_CONFIG, WEIGHTS)]
    digest = fingerprint([reader.files.vocabulary_digest(digests), *content])
    return _Source(f"model {model}", reader.files, digest, reader.max_length, seed=None)
