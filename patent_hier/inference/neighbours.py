"""The nearest training documents of a text: what a person compares a decision with.

On disk, a sealed folder: ``index.safetensors`` (an inverted index: for each n-gram the documents that hold it, and the
n-gram's weight in each), ``terms.json``, ``settings.json`` and ``documents.parquet``. Nothing in it can execute.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.sparse import csc_matrix, csr_matrix

from patent_hier.artifacts import MANIFEST, find_damage, fingerprint, refuse_foreign, seal, verify
from patent_hier.atomic import atomic_folder, exclusive, read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features.ngram_counting import count_corpus
from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.inference.texts import Texts, listed
from patent_hier.models.ngram_features import fit_idf, tf_idf
from patent_hier.sanitize import reason
from patent_hier.settings import NgramSettings
from patent_hier.settings.models import LONGEST_NGRAM

NEIGHBOURS_VERSION = 2
NGRAM_SIZES = (2, 3)
MAX_NGRAMS = 500_000
_KIND = "neighbours"
_INDEX, _NGRAMS, _SETTINGS, _DOCUMENTS = "index.safetensors", "terms.json", "settings.json", "documents.parquet"
_SCHEMA = pa.schema([("document_id", pa.string()), ("title", pa.string()), ("path", pa.list_(pa.string()))])
_ROW_GROUP = 4096  # documents that are read for one of them
_DAMAGED = (ArtifactError, KeyError, OSError, SafetensorError, TypeError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class Neighbour:
    """A training document.

    Attributes:
        document_id: Its id in the corpus.
        title: Its title.
        path: The labels of its main symbol from the top, as far as it goes.
        similarity: Cosine of the TF-IDF of character n-grams, above 0 and up to 1.
    """

    document_id: str
    title: str
    path: tuple[str, ...]
    similarity: float


def neighbours_fingerprint(corpus: str, split: str) -> str:
    """Name an index by what decides its content: corpus, training part, n-grams.

    Args:
        corpus: The corpus' fingerprint.
        split: The split's fingerprint.
    """
    return fingerprint([NEIGHBOURS_VERSION, corpus, split, list(NGRAM_SIZES), MAX_NGRAMS])


def build_neighbours(
    document_ids: Sequence[str],
    titles: Sequence[str],
    texts: Sequence[str],
    paths: Sequence[Sequence[str]],
    folder: Path,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Build the index of the training documents, unless its folder is whole; one process builds it, others wait.

    Memory holds about 40 bytes for each distinct n-gram of each document, and key and frequency of each n-gram. The
    :data:`MAX_NGRAMS` most frequent ones are kept; of equally frequent ones the first in code point order.

    Args:
        document_ids: Of the ``n`` training documents, and no others.
        titles: ``n``.
        texts: ``n``, built as in training.
        paths: ``n``, the labels of each main symbol from the top.
        folder: Its name decides whether it is built again: name it by :func:`neighbours_fingerprint`.
        progress: Called after each batch of both passes with its number of documents.

    Raises:
        ConfigError: If the folder holds other things.
        ArtifactError: If it holds a manifest that cannot be read.
        DataError: If no text has an n-gram.
    """
    with exclusive(folder):
        refuse_foreign(folder, _KIND)
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("made_as") == folder.name:
            return
        with atomic_folder(folder) as staging:
            with tempfile.TemporaryDirectory(dir=staging) as scratch:
                counts, ngrams = _count(texts, Path(scratch), progress)
                entries = _write_index(counts, staging)
            write_json(staging / _NGRAMS, list(ngrams))
            write_json(staging / _SETTINGS, {"ngram_sizes": list(NGRAM_SIZES)})
            columns = dict(zip(_SCHEMA.names, (document_ids, titles, paths), strict=True))
            pq.write_table(pa.table(columns, _SCHEMA), staging / _DOCUMENTS, _ROW_GROUP)
            facts = {"documents": len(texts), "terms": len(ngrams), "entries": entries}
            seal(staging, {"kind": _KIND, "version": NEIGHBOURS_VERSION, "made_as": folder.name, **facts})


def _count(
    texts: Sequence[str], folder: Path, progress: Callable[[int], None] | None
) -> tuple[csr_matrix, tuple[str, ...]]:
    """Counts of the n-grams that stand in most documents, and those."""
    settings = NgramSettings(ngram_sizes=list(NGRAM_SIZES), min_documents=1, max_terms=MAX_NGRAMS)
    every = np.ones(len(texts), np.bool_)
    try:
        count_corpus(lambda: [texts], every, settings, folder, progress or (lambda documents: None))
    except DataError as error:
        raise DataError(
            f"none of {len(texts)} texts has an n-gram of {NGRAM_SIZES[0]} characters; check data.text"
        ) from error
    store = NgramStore.open(folder)
    return store.matrix, store.ngrams


def _write_index(counts: csr_matrix, folder: Path) -> int:
    """Write the inverted index of n-gram counts; the number of its entries."""
    idf = fit_idf(counts)
    index: csc_matrix = tf_idf(counts, idf).tocsc()  # documents ascending in each column
    arrays = {
        "idf": idf,
        "weights": index.data.astype(np.float32, copy=False),
        "documents": index.indices.astype(np.int32),
        "offsets": index.indptr.astype(np.int64),
    }
    save_file(arrays, folder / _INDEX)
    return int(index.nnz)


class Neighbours:
    """A built index; only what a question needs of it is read, so that memory does not grow with the corpus.

    In memory are the n-grams, their IDF and offsets, and while a text is compared one similarity for each document.

    Args:
        folder: What :func:`build_neighbours` made, verified.

    Attributes:
        size: Number of training documents.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ngrams, settings = read_json(folder / _NGRAMS), read_json(folder / _SETTINGS)
        shortest, longest = settings["ngram_sizes"]
        self._reader = NgramReader(tuple(ngrams), (int(shortest), int(longest)))
        self._index = cast(Any, safe_open(folder / _INDEX, framework="numpy"))  # half of it has no types
        self._idf: NDArray[np.float32] = self._index.get_tensor("idf")
        self._offsets: NDArray[np.int64] = self._index.get_tensor("offsets")
        with self._documents() as documents:
            self.size: int = documents.metadata.num_rows
        if not (len(ngrams) == len(self._idf) == len(self._offsets) - 1 and self.size):
            raise ValueError("its files are not of one size")
        if not 1 <= shortest <= longest <= LONGEST_NGRAM:
            raise ValueError(f"its n-grams are of {shortest} to {longest} characters")

    @classmethod
    def open(cls, folder: Path) -> "Neighbours":
        """Open an index.

        Raises:
            ArtifactError: If it is missing, damaged, or none.
        """
        verify(folder)
        manifest = read_json(folder / MANIFEST)
        if (manifest.get("kind"), manifest.get("version")) != (_KIND, NEIGHBOURS_VERSION):
            raise ArtifactError(f"{folder} holds no neighbours of this version; delete it and build it again")
        try:
            return cls(folder)
        except _DAMAGED as error:
            raise ArtifactError(
                f"neighbours {folder} are damaged ({reason(error)}); delete it and run again"
            ) from error

    def nearest(self, texts: Texts, k: int = 5) -> list[list[Neighbour]]:
        """The training documents most similar to each text.

        Args:
            texts: One text or several, built as in training; see :func:`patent_hier.inference.texts.listed`.
            k: Most neighbours for each, 1 or more.

        Returns:
            For each text its neighbours, the most similar first, of equals the earlier document; fewer than ``k`` if
            fewer documents share an n-gram with it.

        Raises:
            ConfigError: If ``k`` is below 1.
            DataError: Naming the position of the first item that is no text.
        """
        if k < 1:
            raise ConfigError(f"k={k} is out of range; give 1 or more neighbours")
        given = listed(texts)
        if not given:
            return []
        features = tf_idf(self._reader.encode(given).matrix, self._idf)  # (texts, n-grams)
        found = [self._best(self._similarity(features[row]), k) for row in range(len(given))]
        known = self._read_documents(sorted({document for best in found for document, _ in best}))
        return [[Neighbour(*known[document], similarity) for document, similarity in best] for best in found]

    def _similarity(self, features: csr_matrix) -> NDArray[np.float64]:
        """Cosines with all documents, ``(size,)``, from one row ``(1, ngrams)``."""
        similarity = np.zeros(self.size)
        documents, weights = (self._index.get_slice(name) for name in ("documents", "weights"))  # read in slices
        for ngram, weight in zip(features.indices.tolist(), features.data.tolist(), strict=True):
            start, end = int(self._offsets[ngram]), int(self._offsets[ngram + 1])
            similarity[documents[start:end]] += np.float64(weight) * weights[start:end]  # a document stands there once
        return similarity

    @staticmethod
    def _best(similarity: NDArray[np.float64], k: int) -> list[tuple[int, float]]:
        """The documents of the ``k`` highest similarities above 0."""
        least = np.partition(similarity, len(similarity) - k)[len(similarity) - k] if k < len(similarity) else 0.0
        chosen = np.flatnonzero((similarity >= least) & (similarity > 0))
        order = chosen[np.argsort(-similarity[chosen], kind="stable")][:k]
        return [(document, min(1.0, float(similarity[document]))) for document in order.tolist()]

    def _read_documents(self, wanted: list[int]) -> dict[int, tuple[str, str, tuple[str, ...]]]:
        """Id, title and path of some documents, ascending; only their groups of rows are read."""
        known = {}
        with self._documents() as documents:
            for group, members in groupby(wanted, lambda document: document // _ROW_GROUP):
                rows = documents.read_row_group(group)
                for document in members:
                    one = rows.slice(document % _ROW_GROUP, 1).to_pylist()[0]
                    known[document] = one["document_id"], one["title"], tuple(one["path"])
        return known

    def _documents(self) -> pq.ParquetFile:
        """Opened for each question: threads must not share one."""
        return pq.ParquetFile(self._folder / _DOCUMENTS, memory_map=True)
