"""The paper's Figure 5 as a folder: page, figure and facts, made once for an encoder and a pair of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.artifacts import MANIFEST, DigestCache, find_damage, fingerprint, refuse_foreign, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import WEIGHTS, EncoderFiles, locate
from patent_hier.features.wordpiece import ENCODER_CONFIG, WordPieceReader
from patent_hier.pipeline.environment import describe_environment
from patent_hier.settings import Settings

if TYPE_CHECKING:
    from patent_hier.models.attention import AttentionMaps
    from patent_hier.report.attention.page import AttentionPair

ATTENTION_VERSION = 1
TEXT_A = "本实用新型公开了一种固体绝缘开关柜结构。"
TEXT_B = "它包括隔离开关单元、接地装置和隔离插座装置。"
PAPER_LAYERS = (2, 11)
_KIND = "attention"
_DEEP = 12  # layers of the paper's encoder


@dataclass(frozen=True)
class _Source:
    """Where the attention comes from.

    Attributes:
        name: What to call it.
        files: Tokenizer and architecture.
        digest: Fingerprint of its content.
        max_length: Most tokens that a pair may have.
        seed: Of random weights; None for learnt ones.
        is_trained: Whether the files are those of a trained classifier.
    """

    name: str
    files: EncoderFiles
    digest: str
    max_length: int
    seed: int | None
    is_trained: bool

    @property
    def is_random(self) -> bool:
        """Whether the weights are random."""
        return self.seed is not None


@dataclass(frozen=True)
class AttentionView:
    """A finished view.

    Attributes:
        folder: Holds ``attention.html``, ``attention.svg``, ``attention.png``, ``attention.json``, ``manifest.json``.
        made: False if it was there before.
    """

    folder: Path
    made: bool


def attention_view(
    settings: Settings,
    text_a: str = TEXT_A,
    text_b: str = TEXT_B,
    *,
    layers: Sequence[int] | None = None,
    model: Path | None = None,
    output: Path | None = None,
) -> AttentionView:
    """Make the attention views of a pair of texts, unless they are there.

    Args:
        settings: Its encoder, seed (of random weights), results folder and cache folder are read.
        text_a: First text; the default pair is the paper's.
        text_b: Second text.
        layers: From 1, at least one; None for :func:`default_layers`.
        model: Folder of a trained classifier whose encoder is shown in place of that of the settings.
        output: The folder to write; None for one below the results folder, named by its content.

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
            return AttentionView(folder, made=False)
        from patent_hier.report.attention.page import AttentionPair  # imports torch

        pair = AttentionPair(text_a, text_b, chosen, source.name, source.is_random)
        maps = _maps(source, text_a, text_b)
        with atomic_folder(folder) as staging:
            _write(staging, maps, pair)
            facts = {"kind": _KIND, "fingerprint": name, "encoder": source.name, "encoder_content": source.digest}
            seal(staging, {**facts, "seed": source.seed, "environment": describe_environment()})
    return AttentionView(folder, made=True)


def default_layers(num_layers: int) -> tuple[int, ...]:
    """An early and a late layer: the paper's 2 and 11 of twelve or more, else the second and the last but one.

    Encoders of two or three layers show their last two, one of a single layer shows that.
    """
    if num_layers >= _DEEP:
        return PAPER_LAYERS
    early = max(1, min(2, num_layers - 1))
    late = min(num_layers, max(early + 1, num_layers - 1))
    return tuple(sorted({early, late}))


def check_layers(layers: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """The chosen layers, ascending, each once.

    Raises:
        ConfigError: If one does not exist, or none is given.
    """
    if not layers:
        raise ConfigError(f"no layer is chosen; choose some of 1 to {num_layers}")
    for layer in layers:
        if not 1 <= layer <= num_layers:
            raise ConfigError(f"layer {layer} does not exist; this encoder has layers 1 to {num_layers}")
    return tuple(sorted(set(layers)))


def _from_settings(settings: Settings) -> _Source:
    encoder, cache = settings.encoder, Path(settings.cache_dir)
    files = locate(encoder, cache)
    digest = files.digest(DigestCache(cache / "digests.json"), encoder.pretrained)
    seed = None if encoder.pretrained else settings.seed
    return _Source(encoder.name, files, digest, encoder.max_length, seed, is_trained=False)


def _trained(model: Path, settings: Settings) -> _Source:
    reader = _trained_reader(model)
    digest = _trained_digest(reader.files, DigestCache(Path(settings.cache_dir) / "digests.json"))
    return _Source(f"model {model}", reader.files, digest, reader.max_length, seed=None, is_trained=True)


def _trained_reader(model: Path) -> WordPieceReader:
    """What a trained classifier reads texts with.

    Raises:
        ArtifactError: If its files are damaged.
        ConfigError: If the folder holds no encoder.
    """
    if not model.is_dir():
        raise ConfigError(f"model folder {model} does not exist; name the model folder of a node's result")
    if not (model / ENCODER_CONFIG).is_file():
        raise ConfigError(
            f"model folder {model} has no {ENCODER_CONFIG}, so no encoder; name the model folder of a bertcnn node"
        )
    return WordPieceReader.load(model)


def _trained_digest(files: EncoderFiles, digests: DigestCache) -> str:
    """Fingerprint of a trained classifier's architecture, vocabulary and weights."""
    content = [digests.of(files.folder / name) for name in (ENCODER_CONFIG, WEIGHTS)]
    return fingerprint([files.vocabulary_digest(digests), *content])


def _maps(source: _Source, text_a: str, text_b: str) -> "AttentionMaps":
    from patent_hier.models.attention import attention_maps
    from patent_hier.models.saved import load_classifier

    trained: Any = load_classifier(source.files.folder).model if source.is_trained else None
    return attention_maps(
        source.files,
        text_a,
        text_b,
        pretrained=not source.is_random,
        max_length=source.max_length,
        network=trained.encoder.network if source.is_trained else None,
        seed=source.seed or 0,
    )


def _write(folder: Path, maps: "AttentionMaps", pair: "AttentionPair") -> None:
    from patent_hier.report.attention.figure import save_attention_figure
    from patent_hier.report.attention.page import attention_facts, attention_page

    (folder / "attention.html").write_text(attention_page(maps, pair), "utf-8")
    write_json(folder / "attention.json", attention_facts(maps, pair))
    save_attention_figure(maps, pair.layers, folder, random_weights=pair.random_weights)
