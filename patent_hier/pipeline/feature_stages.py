"""Model inputs as cache folders, each made once: token ids, encoder states, words with vectors, n-gram counts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.artifacts import DigestCache
from patent_hier.data.corpus import Corpus
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.pipeline.stages import ensure
from patent_hier.progress import counted, item_progress, say
from patent_hier.settings import FeatureSettings, NgramSettings, Settings


def ensure_tokens(corpus: Corpus, encoder: EncoderFiles, max_length: int, cache: Path) -> Path:
    """Return the folder of the corpus as token ids of an encoder; encode the corpus if it is missing."""
    from patent_hier.features.wordpiece import encode_corpus, load_tokenizer, tokens_fingerprint

    vocabulary = encoder.vocabulary_digest(DigestCache(cache / "digests.json"))
    name = tokens_fingerprint(corpus.fingerprint, vocabulary, max_length)

    def encode(staging: Path, progress: Callable[[int], None]) -> None:
        encode_corpus(counted(corpus.iter_texts(), progress), load_tokenizer(encoder, max_length), staging)

    return _ensure_read(cache / "tokens" / name, f"encoding {corpus.size} documents", corpus.size, encode)


def ensure_layer_vectors(corpus: Corpus, tokens: Path, files: EncoderFiles, settings: Settings) -> Path:
    """Return the folder of document vectors from a frozen encoder's last layers; compute them if it is missing."""
    from patent_hier.features.layer_vectors import layer_vectors_fingerprint
    from patent_hier.features.token_store import TokenStore
    from patent_hier.features.wordpiece import WordPieceReader
    from patent_hier.models.encoder import load_encoder
    from patent_hier.models.frozen import write_layer_vectors
    from patent_hier.training.device import choose_gpu, choose_precision

    encoder, trainer, cache = settings.encoder, settings.trainer, Path(settings.cache_dir)
    on_gpu = choose_gpu(trainer.accelerator, "trainer.accelerator")
    precision = choose_precision(trainer.precision, on_gpu, files.hidden_size)
    layers, pooling = encoder.vector_layers or files.num_layers, settings.model.pooling
    digest = files.digest(DigestCache(cache / "digests.json"), pretrained=True)
    name = layer_vectors_fingerprint(tokens.name, digest, pooling, layers, precision)

    def compute(staging: Path, progress: Callable[[int], None]) -> None:
        write_layer_vectors(
            load_encoder(files, pretrained=True, frozen=True).to("cuda" if on_gpu else "cpu"),
            TokenStore.open(tokens),
            staging,
            layers=layers,
            pooling=pooling,
            pad_id=WordPieceReader(files, encoder.max_length).pad_id,
            batch_size=trainer.score_batch_size,
            precision=precision,
            progress=progress,
        )

    label = f"encoding {corpus.size} documents with {encoder.name}"
    return _ensure_read(cache / "layer_vectors" / name, label, corpus.size, compute)


def ensure_token_states(corpus: Corpus, tokens: Path, files: EncoderFiles, settings: Settings) -> Path:
    """Return the folder of every token's state after the frozen lower layers of an encoder; compute it if missing."""
    from patent_hier.features.token_states import token_states_fingerprint
    from patent_hier.features.token_store import TokenStore
    from patent_hier.features.wordpiece import WordPieceReader
    from patent_hier.models.encoder import load_encoder
    from patent_hier.models.lower_layers import write_token_states
    from patent_hier.training.device import choose_gpu

    encoder, trainer, cache = settings.encoder, settings.trainer, Path(settings.cache_dir)
    on_gpu = choose_gpu(trainer.accelerator, "trainer.accelerator")
    digest = files.digest(DigestCache(cache / "digests.json"), pretrained=True)
    name = token_states_fingerprint(tokens.name, digest, encoder.freeze)

    def compute(staging: Path, progress: Callable[[int], None]) -> None:
        write_token_states(
            load_encoder(files, pretrained=True, frozen=True).to("cuda" if on_gpu else "cpu"),
            TokenStore.open(tokens),
            staging,
            layers=encoder.freeze,
            pad_id=WordPieceReader(files, encoder.max_length).pad_id,
            batch_size=trainer.score_batch_size,
            progress=progress,
        )

    label = f"encoding {corpus.size} documents with the lower layers of {encoder.name}"
    return _ensure_read(cache / "token_states" / name, label, corpus.size, compute)


def ensure_vectors(
    corpus: Corpus, split: Path, train: NDArray[np.bool_], features: FeatureSettings, cache: Path
) -> Path:
    """Return the folder of the corpus as words with vectors; segmentation is shared by all splits."""
    from patent_hier.features import word2vec, words

    def segment(staging: Path, progress: Callable[[int], None]) -> None:
        words.segment_corpus(counted(corpus.iter_texts(), progress), features.name, staging)

    folder = cache / "words" / words.segmentation_fingerprint(corpus.fingerprint, features.name)
    label = f"segmenting {corpus.size} documents into {features.name}"
    segmentation = _ensure_read(folder, label, corpus.size, segment)
    digest = DigestCache(cache / "digests.json").of(Path(features.vectors)) if features.vectors else None

    def make(staging: Path) -> None:
        source = f"from {features.vectors}" if features.vectors else "from the training part"
        say(f"{features.name}: building vocabulary and vectors {source}")
        word2vec.build_vectors(segmentation, train, features, staging)

    name = word2vec.vectors_fingerprint(segmentation.name, split.name, features, digest)
    return ensure(cache / "vectors" / name, make)


def ensure_ngrams(
    corpus: Corpus,
    split: Path,
    train: NDArray[np.bool_],
    settings: NgramSettings,
    cache: Path,
    context: Sequence[str] = (),
) -> Path:
    """Return the folder of n-gram counts of the corpus and its context columns, with the training part's n-grams."""
    from patent_hier.data.context import iter_documents
    from patent_hier.features.ngram_counting import count_corpus
    from patent_hier.features.ngram_store import ngrams_fingerprint

    def count(staging: Path, progress: Callable[[int], None]) -> None:
        count_corpus(lambda: iter_documents(corpus, context), train, settings, staging, progress)

    folder = cache / "terms" / ngrams_fingerprint(corpus.fingerprint, split.name, settings, context)
    return _ensure_read(folder, f"counting n-grams of {corpus.size} documents", 2 * corpus.size, count)


def _ensure_read(folder: Path, label: str, total: int, write: Callable[[Path, Callable[[int], None]], None]) -> Path:
    """Return a cache folder; if it is missing, make it by reading documents, and show progress."""

    def make(staging: Path) -> None:
        with item_progress(label, total) as progress:
            write(staging, progress)

    return ensure(folder, make)
