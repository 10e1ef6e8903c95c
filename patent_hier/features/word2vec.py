"""Build a vocabulary from the training part, and a vector for each of its words: trained, from a file, or random."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from patent_hier.artifacts import fingerprint, seal
from patent_hier.atomic import write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features.ragged import Ragged
from patent_hier.features.token_store import TokenStore, write_store
from patent_hier.features.versions import vectors_version
from patent_hier.features.words import FIRST_WORD_ID, PAD_ID, UNKNOWN_ID, WORDS_FILE, read_words
from patent_hier.regular_files import open_regular
from patent_hier.sanitize import reason
from patent_hier.settings import FeatureSettings

VECTORS_FILE = "vectors.safetensors"
_TENSOR = "vectors"
_CHUNK = 8192  # documents in memory at once
_LONGEST_SENTENCE = 10_000  # words; gensim silently ignores the rest of a longer sentence
_RANDOM_RANGE = 0.25  # Kim (2014) draws the vectors of unknown words from [-0.25, 0.25]
_UTF8_MARK = b"\xef\xbb\xbf"


def vectors_fingerprint(
    segmentation: str, split: str, settings: FeatureSettings, file_digest: str | None = None
) -> str:
    """Return the fingerprint of a vocabulary and its vectors; settings that do not influence them are left out.

    Args:
        segmentation: Fingerprint of the segmented corpus.
        split: Fingerprint of the split.
        settings: The features group of a run's settings.
        file_digest: SHA-256 of the file that ``settings.vectors`` names, else None.

    Raises:
        ValueError: If only one of file and digest is given.
    """
    if (settings.vectors is None) != (file_digest is None):
        raise ValueError(f"file_digest={file_digest} does not match vectors={settings.vectors}; give both or neither")
    source: dict[str, object] = {"seed": settings.seed}
    if file_digest is not None:
        source["file"] = file_digest
    else:
        source["vector_size"] = settings.vector_size
        if settings.epochs:
            source |= {"epochs": settings.epochs, "window": settings.window, "skip_gram": settings.skip_gram}
    return fingerprint(
        [vectors_version(file_digest is None), segmentation, split, settings.max_length, settings.min_count, source]
    )


def build_vectors(segmentation: Path, train: NDArray[np.bool_], settings: FeatureSettings, folder: Path) -> None:
    """Choose the vocabulary, build its vectors, write all documents as word ids, and seal the folder.

    The vocabulary has every word that occurs at least ``min_count`` times in the untruncated training documents, most
    frequent words first and equally frequent words in the order of their characters; other documents influence neither
    the vocabulary nor the vectors. Vectors are ``(n_words + 2, size)``: row 0, padding, is zero; row 1, the unknown
    word, is the mean of all words. Documents are truncated to ``max_length``; an empty one becomes one unknown word.

    Args:
        segmentation: A folder that :func:`patent_hier.features.words.segment_corpus` wrote.
        train: Whether each document is in the training part, ``(n_documents,)``.
        settings: The features group of a run's settings.
        folder: An empty staging folder.

    Raises:
        ArtifactError: If the segmentation is damaged or belongs to another corpus.
        ConfigError: If the vector file cannot be used.
        DataError: If no word is frequent enough.

    Source: Mikolov et al. (2013), arXiv:1301.3781 and arXiv:1310.4546, as implemented by gensim with its defaults
    (5 negative samples, subsampling of frequent words at 1e-3). One thread, so that the same seed gives the same
    vectors. Words that are too rare are removed before windows are formed, as in the original program.
    """
    started = time.perf_counter()
    store, names = TokenStore.open(segmentation), read_words(segmentation)
    if len(train) != len(store):
        raise ArtifactError(
            f"{segmentation} has {len(store)} documents, but the split {len(train)}; delete the folder and run again"
        )
    counts = dict(zip(("train", "held_out"), _count(store, train, len(names), segmentation), strict=True))
    vocabulary = _choose(counts["train"], names, settings.min_count)
    vectors, facts = _make_vectors(store, train, vocabulary, settings)
    middle = vectors.mean(0, dtype=np.float64).astype(np.float32)
    rows = np.concatenate([np.zeros_like(middle)[None], middle[None], vectors])  # (n_words + 2, size)

    dtype = np.dtype("<u2" if len(rows) - 1 <= np.iinfo(np.uint16).max else "<u4")
    offsets = write_store(folder, dtype, _cut(store, vocabulary.new_ids, settings.max_length))
    write_json(folder / WORDS_FILE, vocabulary.words)
    save_file({_TENSOR: rows}, folder / VECTORS_FILE)
    manifest = {
        "kind": "vectors",
        "dtype": dtype.str,
        "documents": len(store),
        "tokens": int(offsets[-1]),
        "cut_documents": int((store.lengths > settings.max_length).sum()),
        "empty_documents": int((store.lengths == 0).sum()),
        "n_words": len(vocabulary.words),
        **facts,
        "train_tokens": int(counts["train"].sum()),
        "unknown_share": {part: _unknown_share(own, vocabulary.new_ids) for part, own in counts.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }
    seal(folder, manifest)


def load_vectors(folder: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Read the words and their vectors.

    Returns:
        The words, and their vectors, ``(n_words + 2, size)``; the first two rows are padding and the unknown word.

    Raises:
        ArtifactError: If a file is missing or damaged, or the files do not belong together.
    """
    words, file = read_words(folder), folder / VECTORS_FILE
    try:
        vectors: NDArray[np.float32] = load_file(file)[_TENSOR]
    except (OSError, SafetensorError, KeyError) as error:
        raise ArtifactError(f"{file} is damaged ({reason(error)}); delete {folder} and run again") from error
    if vectors.ndim != 2 or len(vectors) != len(words) + FIRST_WORD_ID or vectors.dtype != np.float32:
        raise ArtifactError(
            f"{file} has {vectors.dtype} vectors of shape {vectors.shape} for {len(words)} words; delete {folder} and "
            "run again"
        )
    return words, vectors


@dataclass(frozen=True)
class _Vocabulary:
    """The chosen words, their occurrences in the training part, and the new id of each old id, ``(n_names + 2,)``."""

    words: list[str]
    counts: list[int]
    new_ids: NDArray[np.int32]


def _chunks(n_documents: int) -> Iterator[range]:
    for start in range(0, n_documents, _CHUNK):
        yield range(start, min(start + _CHUNK, n_documents))


def _count(store: TokenStore, train: NDArray[np.bool_], n_names: int, segmentation: Path) -> NDArray[np.int64]:
    """Count each id of the segmentation in the training part and in the other parts, ``(2, n_names + 2)``."""
    counts = np.zeros((2, n_names + FIRST_WORD_ID), np.int64)
    for chunk in _chunks(len(store)):
        ids = np.concatenate([store[i] for i in chunk])
        if len(ids) and ids.max() >= counts.shape[1]:
            raise ArtifactError(f"{segmentation} has ids without a word; delete the folder and run again")
        of_train = np.repeat(train[chunk.start : chunk.stop], store.lengths[chunk.start : chunk.stop])
        for row, chosen in enumerate((ids[of_train], ids[~of_train])):
            counts[row] += np.bincount(chosen, minlength=counts.shape[1])
    return counts


def _choose(counts: NDArray[np.int64], names: Sequence[str], min_count: int) -> _Vocabulary:
    kept = np.flatnonzero(counts >= min_count).tolist()
    kept = sorted((i for i in kept if i >= FIRST_WORD_ID), key=lambda i: (-counts[i], names[i - FIRST_WORD_ID]))
    if not kept:
        raise DataError(
            f"none of the {np.count_nonzero(counts)} words in the training part occurs {min_count} times; "
            f"lower features.min_count"
        )
    new_ids = np.full(len(counts), UNKNOWN_ID, np.int32)
    new_ids[PAD_ID] = PAD_ID
    new_ids[kept] = np.arange(FIRST_WORD_ID, len(kept) + FIRST_WORD_ID)
    return _Vocabulary([names[i - FIRST_WORD_ID] for i in kept], counts[kept].tolist(), new_ids)


def _cut(store: TokenStore, new_ids: NDArray[np.int32], max_length: int) -> Iterator[Ragged]:
    unknown = np.array([UNKNOWN_ID], np.int32)
    for chunk in _chunks(len(store)):
        documents = [new_ids[store[i][:max_length]] if store.lengths[i] else unknown for i in chunk]
        yield np.concatenate(documents), np.fromiter(map(len, documents), np.int64, len(documents))


def _unknown_share(counts: NDArray[np.int64], new_ids: NDArray[np.int32]) -> float | None:
    """Return the share of words outside the vocabulary in untruncated documents; None if there are no words."""
    total = int(counts.sum())
    return int(counts[new_ids == UNKNOWN_ID].sum()) / total if total else None


def _make_vectors(
    store: TokenStore, train: NDArray[np.bool_], vocabulary: _Vocabulary, settings: FeatureSettings
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return vectors, ``(n_words, size)``, and facts about their source for the manifest."""
    n_words = len(vocabulary.words)
    facts: dict[str, Any] = {"source": "random", "coverage": None}
    if settings.vectors is not None:
        vectors, found = _read_vectors(Path(settings.vectors), vocabulary.words)
        missing = np.random.default_rng(settings.seed).standard_normal((int((~found).sum()), vectors.shape[1]))
        vectors[~found] = missing * vectors[found].std(dtype=np.float64)
        facts = {"source": "file", "coverage": int(found.sum()) / n_words}
    elif settings.epochs:
        vectors = _train(_Sentences(store, train, vocabulary), vocabulary, settings)
        facts["source"] = "trained"
    else:
        uniform = np.random.default_rng(settings.seed).uniform(size=(n_words, settings.vector_size))
        vectors = ((2 * uniform - 1) * _RANDOM_RANGE).astype(np.float32)
    return vectors, {**facts, "vector_size": vectors.shape[1]}


class _Sentences:
    """The training documents as words of the vocabulary, streamed; gensim iterates over them once per epoch."""

    def __init__(self, store: TokenStore, train: NDArray[np.bool_], vocabulary: _Vocabulary) -> None:
        self._store = store
        self._documents = np.flatnonzero(train)
        self._new_ids = vocabulary.new_ids
        self._words = np.array([None] * FIRST_WORD_ID + vocabulary.words, object)

    def __iter__(self) -> Iterator[list[str]]:
        for document in map(int, self._documents):
            ids = self._new_ids[self._store[document]]
            words = self._words[ids[ids >= FIRST_WORD_ID]].tolist()
            for start in range(0, len(words), _LONGEST_SENTENCE):
                yield words[start : start + _LONGEST_SENTENCE]


def _train(sentences: _Sentences, vocabulary: _Vocabulary, settings: FeatureSettings) -> NDArray[np.float32]:
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from gensim.models import Word2Vec

        model = Word2Vec(
            vector_size=settings.vector_size,
            window=settings.window,
            sg=int(settings.skip_gram),
            seed=settings.seed,
            min_count=1,  # the vocabulary is already chosen
            sorted_vocab=0,  # and already sorted
            workers=1,  # several workers would update the vectors in random order
        )
        model.build_vocab_from_freq(dict(zip(vocabulary.words, vocabulary.counts, strict=True)))
        model.train(sentences, total_words=sum(vocabulary.counts), epochs=settings.epochs)
    finally:
        logger.setLevel(level)
    return np.array(model.wv.vectors, np.float32)


def _read_vectors(path: Path, words: list[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read vectors, ``(n_words, size)``, zero for missing words, and whether each word was found, ``(n_words,)``.

    A word that occurs twice in the file gets its first vector. Only the numbers of the vocabulary's words are read and
    checked.
    """
    rows = {word.encode(): row for row, word in enumerate(words)}
    vectors = np.zeros((0, 0), np.float32)
    found = np.zeros(len(words), np.bool_)
    for number, word, values in _vector_lines(path):
        row = rows.get(word)
        if row is None or found[row]:
            continue
        if not vectors.size:
            vectors = np.zeros((len(words), len(values)), np.float32)
        try:
            vectors[row] = [float(value) for value in values]
        except ValueError as error:
            raise ConfigError(f"features.vectors={path}, line {number}: {error}; repair the file") from error
        if not np.isfinite(vectors[row]).all():
            raise ConfigError(f"features.vectors={path}, line {number}: a number is NaN or infinity; repair the file")
        found[row] = True
    if not found.any():
        raise ConfigError(
            f"features.vectors={path} has none of the {len(words)} words in the training part; "
            f"use a UTF-8 file of Chinese words (or of characters, with features=chars)"
        )
    return vectors, found


def _vector_lines(path: Path) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Yield line number, word and numbers of each line; the header, or the first line, decides how many numbers.

    Lines are split as bytes, at spaces and line feeds only, because a word may contain other kinds of white space.
    """
    announced, size, seen = 0, None, 0
    try:
        with open_regular(path) as file:
            for number, line in enumerate(file, 1):
                word, *values = line.removeprefix(_UTF8_MARK if number == 1 else b"").rstrip(b" \r\n").split(b" ")
                if number == 1 and word.isdigit() and len(values) == 1 and values[0].isdigit():
                    announced, size = int(word), int(values[0])
                    continue
                size = len(values) if size is None else size
                if not values or len(values) != size:
                    raise ConfigError(
                        f"features.vectors={path}, line {number}: {len(values)} numbers instead of {size}; "
                        f"use word2vec's text format, one word and its numbers per line"
                    )
                seen += 1
                yield number, word, values
    except OSError as error:
        raise ConfigError(f"features.vectors={path} cannot be read ({error.strerror}); check the path") from error
    if seen < announced:
        raise ConfigError(f"features.vectors={path} has {seen} of the {announced} vectors in its header; copy it again")
