"""Pre-train an encoder: text → vocabulary → packed text → training → a transformers folder with its card.

Vocabulary and packed text are cached; the state of an interrupted run is stored next to them until the run is finished.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from patent_hier.artifacts import MANIFEST, DigestCache, fingerprint, seal
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json, write_yaml
from patent_hier.data.splits import TRAIN
from patent_hier.errors import ConfigError
from patent_hier.features.packing import HELD_OUT, TRAINING, PackedText, pack, packing_version
from patent_hier.features.passages import read_passages, require_text_files
from patent_hier.features.pretrained import TOKENIZER_FILES, EncoderFiles, locate
from patent_hier.features.special_tokens import SpecialTokens, special_tokens
from patent_hier.features.versions import segmentation_version
from patent_hier.inference.nodes import CONFIG_FILE
from patent_hier.pipeline.encoder_manifest import ENCODER_KIND, earlier_runs, portable, portable_words
from patent_hier.pipeline.environment import PeakMemory, describe_environment
from patent_hier.pipeline.node import HISTORY_FILE, finished
from patent_hier.pipeline.stages import ensure, ensure_data, load_parts
from patent_hier.pipeline.text_read import DIGESTS, WriteCard, ensure_digests, joined_digests
from patent_hier.progress import counted, item_progress, say
from patent_hier.settings import EncoderSettings, PretrainSettings

if TYPE_CHECKING:
    from patent_hier.training.masking import MaskedRows

PRETRAIN_VERSION = 1  # raise it when the same settings would give another encoder
_VOCABULARY_VERSION = 1  # for the word pieces of a new encoder, and for text packed with them
_NO_INFLUENCE = (
    *("name", "encoder", "text", "data", "split", "num_threads", "accelerator", "progress", "runs_dir", "cache_dir"),
)


@dataclass(frozen=True)
class Text:
    """Text for pre-training.

    Attributes:
        content: What identifies it, for fingerprints.
        sources: Name, size and digest of its files, or the corpus; for the card, so without paths.
        batches: Function that yields all passages in lists, from the start at each call.
    """

    content: Any
    sources: list[dict[str, Any]]
    batches: Callable[[], Iterator[list[str]]]


def pretrain(settings: PretrainSettings, overrides: Sequence[str], write_card: WriteCard) -> Path:
    """Pre-train an encoder unless it is finished.

    Args:
        settings: Settings of the run.
        overrides: Overrides of the command, for the manifest.
        write_card: Function that writes the card into the folder, from the manifest and the history.

    Returns:
        The encoder's folder.

    Raises:
        PatentHierError: If an input is unusable; no partial result is left, only the state to continue from.
    """
    cache = Path(settings.cache_dir)
    start = _start(settings, cache)
    text = _text(settings, cache)
    content = _content(settings, text, start, cache)
    name = fingerprint(content)
    folder = Path(settings.runs_dir) / "encoders" / f"{settings.name}-{name}"
    state = cache / "pretraining" / name
    with exclusive(folder), exclusive(state):  # another runs_dir may get the same encoder
        if finished(folder):
            say(f"{settings.name}: already finished  {folder}")
            return folder
        tokenizer = start.folder if start is not None else _ensure_tokenizer(settings, text, cache)
        packed = _ensure_packed(settings, text, tokenizer, cache)
        with atomic_folder(folder) as staging:
            _train_and_write(settings, content, text, (start, tokenizer, packed, state), staging, overrides, write_card)
        shutil.rmtree(state, ignore_errors=True)
    return folder


def _start(settings: PretrainSettings, cache: Path) -> EncoderFiles | None:
    """Return the encoder to train further; None for a new one."""
    if settings.start is None:
        return None
    try:
        start = locate(EncoderSettings("start", settings.start, max_length=settings.seq_len), cache)
    except ConfigError as error:  # the message names settings of run.py
        words = str(error).replace("encoder.path", "start").replace("encoder.max_length", "seq_len")
        raise ConfigError(words) from error
    if start.is_causal:
        raise ConfigError(
            f"start={settings.start} is a decoder, which cannot predict masked tokens; choose an encoder such as BERT"
        )
    return start


def _text(settings: PretrainSettings, cache: Path) -> Text:
    """Return the text of the given files, or of the training part of the corpus."""
    if settings.text:
        files = [Path(name) for name in settings.text]
        require_text_files(files, "text=")
        digests = DigestCache(cache / "digests.json")
        sources = [{"file": f.name, "bytes": f.stat().st_size, "sha256": digests.of(f)} for f in files]
        return Text([source["sha256"] for source in sources], sources, lambda: read_passages(files))
    corpus, split = ensure_data(settings)

    def batches() -> Iterator[list[str]]:
        in_training = load_parts(corpus, split) == TRAIN
        first = 0
        for texts in corpus.iter_texts():
            kept = np.flatnonzero(in_training[first : first + len(texts)])
            first += len(texts)
            if len(kept):
                yield [texts[position] for position in kept]

    sources = [{"corpus": settings.data.name, "fingerprint": corpus.fingerprint, "split": split.name, "part": "train"}]
    return Text([corpus.fingerprint, split.name], sources, batches)


def _content(settings: PretrainSettings, text: Text, start: EncoderFiles | None, cache: Path) -> dict[str, Any]:
    """Return everything that determines the encoder."""
    digests = DigestCache(cache / "digests.json")
    content = {key: value for key, value in asdict(settings).items() if key not in _NO_INFLUENCE}
    del content["optimizer"]["layer_decay"]  # always 1 here
    if start is not None:
        content = {key: value for key, value in content.items() if key not in ("architecture", "vocabulary")}
        content["start"] = start.digest(digests, True)
    elif path := content["vocabulary"]["path"]:
        from patent_hier.features.new_vocabulary import read_vocabulary

        content["vocabulary"] = fingerprint(read_vocabulary(Path(path)))
    packing = _VOCABULARY_VERSION if start is None else packing_version(_tokenizer(start.folder))
    versions = [PRETRAIN_VERSION, packing, segmentation_version("words")]
    return {"versions": versions, "text": text.content, **content}


def _ensure_tokenizer(settings: PretrainSettings, text: Text, cache: Path) -> Path:
    """Return the folder of a new encoder's tokenizer; make it if it is missing."""
    from patent_hier.features.new_vocabulary import build_vocabulary, read_vocabulary, write_tokenizer

    vocabulary, positions = settings.vocabulary, settings.architecture.max_positions
    given = Path(vocabulary.path) if vocabulary.path else None
    decides = read_vocabulary(given) if given else [text.content, vocabulary.size, vocabulary.min_count]
    folder = cache / "vocabularies" / fingerprint([_VOCABULARY_VERSION, decides, positions])

    def make(staging: Path) -> None:
        if given:
            tokens = read_vocabulary(given)
        else:
            say("building the vocabulary")
            tokens = build_vocabulary(text.batches, vocabulary.size, vocabulary.min_count)
        write_tokenizer(staging, tokens, positions)
        seal(staging, {"kind": "vocabulary", "tokens": len(tokens)})

    return ensure(folder, make)


def _ensure_packed(settings: PretrainSettings, text: Text, tokenizer: Path, cache: Path) -> Path:
    """Return the folder of the text as packed token ids; make it if it is missing."""
    digests = DigestCache(cache / "digests.json")
    vocabulary = EncoderFiles(tokenizer, {}, False).vocabulary_digest(digests)
    loaded = _tokenizer(tokenizer)
    version = [packing_version(loaded), segmentation_version("words")]
    folder = cache / "packed" / fingerprint([version, text.content, vocabulary, settings.held_out])

    def make(staging: Path) -> None:
        separator = special_tokens(loaded, tokenizer).sep
        total = sum(map(len, text.batches()))
        with item_progress(f"encoding and segmenting {total:,} passages", total) as progress:
            pack(counted(text.batches(), progress), loaded, separator, settings.held_out, staging)

    return ensure(folder, make)


def _tokenizer(folder: Path) -> Any:
    """Return the tokenizer, set not to truncate."""
    from patent_hier.features.wordpiece import load_tokenizer

    loaded = load_tokenizer(EncoderFiles(folder, {}, False), 512)
    loaded.no_truncation()
    return loaded


def _rows(settings: PretrainSettings, tokenizer: Any, special: SpecialTokens, packed: Path, part: str) -> "MaskedRows":
    from patent_hier.training.masking import MaskedRows, SpecialIds

    return MaskedRows(
        PackedText.open(packed, part),
        SpecialIds(special.cls, special.sep, special.mask, tokenizer.get_vocab_size()),
        settings.seq_len,
        settings.batch_size,
        settings.masking.share,
        settings.masking.whole_words,
        settings.seed,
    )


def _refuse_too_many_tokens(settings: PretrainSettings, start: EncoderFiles | None, tokenizer: Any) -> None:
    if start is not None and tokenizer.get_vocab_size() > (known := int(start.config.get("vocab_size") or 0)):
        raise ConfigError(
            f"the tokenizer of start={settings.start} has {tokenizer.get_vocab_size()} tokens, but its config.json has "
            f"vocab_size {known}; copy the encoder again"
        )


def _train_and_write(
    settings: PretrainSettings,
    content: dict[str, Any],
    text: Text,
    inputs: tuple[EncoderFiles | None, Path, Path, Path],
    staging: Path,
    overrides: Sequence[str],
    write_card: WriteCard,
) -> None:
    start, tokenizer_folder, packed, state = inputs
    memory = PeakMemory()
    tokenizer = _tokenizer(tokenizer_folder)
    _refuse_too_many_tokens(settings, start, tokenizer)
    special = special_tokens(tokenizer, tokenizer_folder)
    training, held_out = (_rows(settings, tokenizer, special, packed, part) for part in (TRAINING, HELD_OUT))
    counts = read_json(packed / MANIFEST)
    say(
        f"{settings.name}: {counts['passages'][TRAINING]:,} passages, {counts['tokens'][TRAINING] / 1e6:.2f} M tokens "
        f"for training, {counts['tokens'][HELD_OUT]:,} held out, vocabulary of {tokenizer.get_vocab_size()}"
    )
    own = ensure_digests(text.content, text.batches, Path(settings.cache_dir))
    digests, read = joined_digests(own, start.folder if start is not None else None)
    digests.save(staging)
    from patent_hier.models.masked_language import MaskedLanguageModel, load_network, new_network
    from patent_hier.training.pretraining import pretrain_network  # imported late: loading torch takes seconds

    def build(on_gpu: bool) -> MaskedLanguageModel:
        if start is not None:
            return load_network(start.folder, on_gpu)
        return new_network(settings.architecture, tokenizer.get_vocab_size(), on_gpu)

    result = pretrain_network(build, training, held_out, settings, state, say)
    result.model.save(staging, settings.half)
    for name in TOKENIZER_FILES:
        if (tokenizer_folder / name).is_file():
            shutil.copyfile(tokenizer_folder / name, staging / name)
    write_json(staging / HISTORY_FILE, result.history)
    told = portable(settings)
    write_yaml(staging / CONFIG_FILE, told)
    last = result.history[-1]
    manifest = {
        "kind": ENCODER_KIND,
        "name": settings.name,
        "text": {"sources": text.sources, **{key: counts[key] for key in ("passages", "tokens", "characters")}},
        DIGESTS: read,
        "vocabulary": tokenizer.get_vocab_size(),
        "training": {**result.facts, "peak_memory_bytes": memory.bytes()},
        "dev": {key: last[key] for key in ("dev/loss", "dev/accuracy")},
        "start": told["start"],
        "before": earlier_runs(start.folder) if start is not None else [],
        "content": content,
        "environment": {**describe_environment(), "command": ["patent-hier", "pretrain", *portable_words(overrides)]},
    }
    write_card(staging, manifest, result.history)
    seal(staging, manifest)
    say(f"{settings.name}: dev loss {last['dev/loss']:.3f}, accuracy {last['dev/accuracy']:.3f}")
