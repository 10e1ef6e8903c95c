"""Count the character n-grams of a whole corpus in one pass, in several threads, in memory independent of its size.

Documents are counted in chunks, and the n-grams and counts of each chunk are stored on disk. After the last chunk, the
document frequencies of all chunks are added up, one range of keys at a time, and decide the vocabulary. Then the
entries of each chunk are mapped to the vocabulary's columns. (Threads suffice, because numpy releases the lock while
it sorts.)
"""

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz, save_npz

from patent_hier.artifacts import seal
from patent_hier.atomic import write_json
from patent_hier.errors import DataError
from patent_hier.features.ngram_store import COUNTS_FILE, INT, NGRAM_IDS_FILE, NGRAMS_FILE, OFFSETS_FILE, in_order
from patent_hier.features.ngrams import Counted, Keys, NgramCutter, Passages, Vocabulary, in_chunks
from patent_hier.settings import NgramSettings

_THREADS = 4  # at most, so that memory stays below 1 GB
RANGE = 1 << 22  # keys whose frequencies are added up together: about 250 MB
_SAMPLES = 4  # keys sampled from each chunk, for each range, to place the bounds of ranges

Batches = Callable[[], Iterable[Sequence[str]]]
Result = TypeVar("Result")


class _Chunk(NamedTuple):
    """The n-grams of one chunk; its entries are already on disk."""

    keys: Keys  # (k,), ascending
    frequencies: NDArray[np.int32]  # number of the chunk's training documents that contain each n-gram, (k,)
    entries: Path

    @classmethod
    def of(cls, counted: Counted, train: NDArray[np.bool_], entries: Path) -> "_Chunk":
        """Save documents' counts to ``entries`` and return the chunk; ``train``, ``(n,)``, marks training documents."""
        of_training = counted.counts[train].indices
        frequencies = np.bincount(of_training, minlength=len(counted.keys)).astype(np.int32)
        save_npz(entries, counted.counts, compressed=False)
        return cls(counted.keys, frequencies, entries)


class _Found:
    """The n-grams of all chunks, in files.

    Args:
        folder: Folder for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._keys, self._frequencies = folder / "keys.bin", folder / "frequencies.bin"
        self._begins = [0]
        self.entries: list[Path] = []

    def add(self, chunk: _Chunk) -> None:
        """Append a chunk."""
        for file, values in ((self._keys, chunk.keys), (self._frequencies, chunk.frequencies)):
            with file.open("ab") as opened:
                opened.write(values.tobytes())
        self._begins.append(self._begins[-1] + len(chunk.keys))
        self.entries.append(chunk.entries)

    def keys_of(self, chunk: int) -> Keys:
        """Return the keys of the chunk with this number."""
        begin, end = self._begins[chunk : chunk + 2]
        return np.fromfile(self._keys, np.uint64, end - begin, offset=begin * np.uint64().itemsize)

    def frequent(self, least: int) -> tuple[Keys, NDArray[np.int32], int]:
        """Return the keys in at least ``least`` training documents, their frequencies, and the number of all keys."""
        keys, frequencies, distinct = [np.empty(0, np.uint64)], [np.empty(0, np.int32)], 0
        if not self._begins[-1]:
            return keys[0], frequencies[0], 0
        every, counts = np.memmap(self._keys, np.uint64, "r"), np.memmap(self._frequencies, np.int32, "r")
        for start, end in pairwise(self._bounds(every)):
            cuts = [
                slice(*(low + np.searchsorted(every[low:high], [start, end]))) for low, high in pairwise(self._begins)
            ]
            place, own = pd.factorize(np.concatenate([every[cut] for cut in cuts]))
            added = np.concatenate([counts[cut] for cut in cuts])
            total = np.bincount(place, added, minlength=len(own)).astype(np.int32)
            distinct += int((total > 0).sum())  # the others occur only in other parts
            keys.append(own[total >= max(1, least)])
            frequencies.append(total[total >= max(1, least)])
        return np.concatenate(keys), np.concatenate(frequencies), distinct

    def _bounds(self, every: Keys) -> list[np.uint64]:
        """Return bounds between which all chunks together have about :data:`RANGE` keys."""
        step = max(1, RANGE // (_SAMPLES * len(self.entries)))
        # Chunks are alike, so each is sampled at different places; otherwise all samples would be the same few keys.
        places = [
            every[low + number * step // len(self.entries) : high : step]
            for number, (low, high) in enumerate(pairwise(self._begins))
        ]
        sample = np.sort(np.concatenate(places))
        n_ranges = -(-len(every) // RANGE)
        inner = [sample[len(sample) * number // n_ranges] for number in range(1, n_ranges) if len(sample)]
        return sorted({np.uint64(0), *inner, np.uint64(2**64 - 1)})  # no n-gram has the last one as its key


def count_corpus(
    texts: Batches,
    train: NDArray[np.bool_],
    settings: NgramSettings,
    folder: Path,
    progress: Callable[[int], None] = lambda documents: None,
) -> None:
    """Count the n-grams of every document into an n-gram store, and seal its folder.

    Memory holds a few chunks, and the keys and frequencies of the n-grams in enough training documents.

    Args:
        texts: Function that yields the documents of the corpus in order, in batches. It is called once, and once more
            if the keys of some n-grams are hashes.
        train: Whether each document is in the training part, ``(n_documents,)``; only these decide the vocabulary.
        settings: Sizes of the n-grams and limits of the vocabulary.
        folder: An empty staging folder.
        progress: Called with the number of documents counted, and later with the number written.

    Raises:
        DataError: If no n-gram occurs in enough training documents, or ``train`` is not as long as the corpus.
    """
    shortest, longest = settings.ngram_sizes
    reader = NgramCutter((shortest, longest))
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(_threads()) as pool:
        found = _Found(Path(scratch))
        for chunk in _count_chunks(texts(), train, reader, Path(scratch), pool, progress):
            found.add(chunk)
        keys, frequencies, distinct = found.frequent(settings.min_documents)
        if not len(keys):
            raise DataError(
                f"no character n-gram occurs in {settings.min_documents} training documents; lower model.min_documents"
            )
        facts = {"train_documents": int(train.sum()), "distinct": distinct, "rare": distinct - len(keys)}
        names = _most_frequent(keys, frequencies, settings.max_terms, lambda some: reader.names(some, texts))
        ngrams = in_order(names)
        facts |= {"over_limit": len(keys) - len(ngrams), "terms": len(ngrams)}
        entries = _write_entries(found, Vocabulary(reader.keys(ngrams)), folder, pool, progress)
    write_json(folder / NGRAMS_FILE, ngrams)
    seal(folder, {"kind": "terms", "documents": len(train), "entries": entries, **facts})


def _threads() -> int:
    return min(_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _count_chunks(
    batches: Iterable[Sequence[str]],
    train: NDArray[np.bool_],
    reader: NgramCutter,
    scratch: Path,
    pool: ThreadPoolExecutor,
    progress: Callable[[int], None],
) -> Iterator[_Chunk]:
    """Count the corpus in chunks and yield them in order."""
    read = 0

    def cut() -> Iterator[tuple[Path, Passages, NDArray[np.bool_]]]:
        nonlocal read
        for number, documents in enumerate(in_chunks(batches, reader.sizes)):
            own = train[read : read + len(documents)]
            read += len(documents)
            if len(own) == len(documents):  # otherwise, the split is rejected below
                # Not in a thread, because context columns are numbered in the order in which documents name them.
                yield scratch / f"{number}.npz", reader.passages(documents), own
            progress(len(documents))

    def count(place: Path, passages: Passages, own: NDArray[np.bool_]) -> _Chunk:
        return _Chunk.of(passages.count(reader.sizes), own, place)

    yield from _in_turn(pool, count, cut())
    if read != len(train):
        raise DataError(f"the corpus has {read} texts, but its split has {len(train)}; delete both caches, run again")


def _in_turn(
    pool: ThreadPoolExecutor, work: Callable[..., Result], items: Iterable[tuple[Any, ...]]
) -> Iterator[Result]:
    """Yield the results in the order of the items, and read ahead only as many items as there are threads.

    The first item is processed without a thread, because libraries import parts of themselves on first use, which is
    not safe in two threads at once.
    """
    running: deque[Future[Result]] = deque()
    for number, item in enumerate(items):
        if number == 0:
            yield work(*item)
            continue
        running.append(pool.submit(work, *item))
        if len(running) > _threads():
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _most_frequent(
    keys: Keys, frequencies: NDArray[np.int32], limit: int | None, name: Callable[[Keys], list[str]]
) -> list[str]:
    """Return the n-grams of the most frequent keys; ties are broken by the order of the n-grams."""
    if limit is None or len(keys) <= limit:
        return name(keys)
    least = np.partition(frequencies, len(keys) - limit)[len(keys) - limit]
    above = keys[frequencies > least]
    return name(above) + sorted(name(keys[frequencies == least]))[: limit - len(above)]


def _write_entries(
    found: _Found, vocabulary: Vocabulary, folder: Path, pool: ThreadPoolExecutor, progress: Callable[[int], None]
) -> int:
    """Write the sparse rows of every document and return the number of entries."""
    lengths = [np.zeros(1, np.int64)]

    def rows(chunk: int, entries: Path) -> csr_matrix:
        counted = Counted(found.keys_of(chunk), load_npz(entries))
        entries.unlink()  # frees the disk space that the rows need
        return vocabulary.rows(counted)

    with (folder / COUNTS_FILE).open("wb") as counts_file, (folder / NGRAM_IDS_FILE).open("wb") as ids_file:
        for matrix in _in_turn(pool, rows, enumerate(found.entries)):
            counts_file.write(matrix.data.astype(INT, copy=False).tobytes())
            ids_file.write(matrix.indices.astype(INT, copy=False).tobytes())
            lengths.append(np.diff(matrix.indptr).astype(np.int64))
            progress(matrix.shape[0])
    offsets = np.cumsum(np.concatenate(lengths))
    np.save(folder / OFFSETS_FILE, offsets, allow_pickle=False)
    return int(offsets[-1])
