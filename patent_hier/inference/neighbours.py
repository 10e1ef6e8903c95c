"""Nearest training documents of a text, which a person can compare with a decision.

On disk, the index is a sealed folder: ``index.safetensors`` (an inverted index: for each n-gram, the documents that
contain it and its weight in each), ``terms.json``, ``settings.json`` and ``documents.parquet``. None of these files can
execute code.
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
_ROW_GROUP = 4096  # documents read together when one of them is needed
_DAMAGED = (ArtifactError, KeyError, OSError, SafetensorError, TypeError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class Neighbour:
    """A training document similar to a text.

    Attributes:
        document_id: ID of the document in the corpus.
        title: Title of the document.
        path: Labels of the main symbol from the top, down to its own depth.
        similarity: Cosine similarity of the TF-IDF vectors of character n-grams, above 0 and at most 1.
    """

    document_id: str
    title: str
    path: tuple[str, ...]
    similarity: float


def neighbours_fingerprint(corpus: str, split: str) -> str:
    """Name an index by everything that determines its content: corpus, training part and n-grams.

    Args:
        corpus: Fingerprint of the corpus.
        split: Fingerprint of the split.
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
    """Build the index of the training documents, unless it is complete; one process builds it, the others wait.

    Memory use is about 40 bytes for each distinct n-gram of each document, plus the key and frequency of each n-gram.
    The :data:`MAX_NGRAMS` most frequent n-grams are used; ties are broken by code point order.

    Args:
        document_ids: IDs of the ``n`` training documents, and of no others.
        titles: Titles, ``n``.
        texts: Texts composed as in training, ``n``.
        paths: Labels of each main symbol from the top, ``n``.
        folder: Folder of the index. Its name decides whether the index is rebuilt; use the name from
            :func:`neighbours_fingerprint`.
        progress: Called after each batch of both passes with its number of documents.

    Raises:
        ConfigError: If the folder holds other files.
        ArtifactError: If the folder's manifest cannot be read.
        DataError: If no text contains an n-gram.
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
    """Return the counts of the n-grams that occur in the most documents, and these n-grams."""
    settings = NgramSettings(ngram_sizes=list(NGRAM_SIZES), min_documents=1, max_terms=MAX_NGRAMS)
    every = np.ones(len(texts), np.bool_)
    try:
        count_corpus(lambda: [texts], every, settings, folder, progress or (lambda documents: None))
    except DataError as error:
        raise DataError(
            f"none of the {len(texts)} texts contains an n-gram of {NGRAM_SIZES[0]} characters; check data.text"
        ) from error
    store = NgramStore.open(folder)
    return store.matrix, store.ngrams


def _write_index(counts: csr_matrix, folder: Path) -> int:
    """Write the inverted index of n-gram counts and return its number of entries."""
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
    """A built index that reads only the parts a query needs, so that memory does not grow with the corpus.

    Memory holds the n-grams, their IDF and offsets and, during a comparison, one similarity per document.

    Args:
        folder: Verified folder from :func:`build_neighbours`.

    Attributes:
        size: Number of training documents.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ngrams, settings = read_json(folder / _NGRAMS), read_json(folder / _SETTINGS)
        shortest, longest = settings["ngram_sizes"]
        self._reader = NgramReader(tuple(ngrams), (int(shortest), int(longest)))
        self._index = cast(Any, safe_open(folder / _INDEX, framework="numpy"))  # safetensors is only partly typed
        self._idf: NDArray[np.float32] = self._index.get_tensor("idf")
        self._offsets: NDArray[np.int64] = self._index.get_tensor("offsets")
        with self._documents() as documents:
            self.size: int = documents.metadata.num_rows
        if not (len(ngrams) == len(self._idf) == len(self._offsets) - 1 and self.size):
            raise ValueError("its files differ in length")
        if not 1 <= shortest <= longest <= LONGEST_NGRAM:
            raise ValueError(f"its n-grams have {shortest} to {longest} characters, which is out of range")

    @classmethod
    def open(cls, folder: Path) -> "Neighbours":
        """Open an index.

        Raises:
            ArtifactError: If the index is missing or damaged, or the folder holds something else.
        """
        verify(folder)
        manifest = read_json(folder / MANIFEST)
        if (manifest.get("kind"), manifest.get("version")) != (_KIND, NEIGHBOURS_VERSION):
            raise ArtifactError(f"{folder} holds no neighbour index of this version; delete it and build it again")
        try:
            return cls(folder)
        except _DAMAGED as error:
            raise ArtifactError(
                f"the neighbour index {folder} is damaged ({reason(error)}); delete it and run again"
            ) from error

    def nearest(self, texts: Texts, k: int = 5) -> list[list[Neighbour]]:
        """Return the training documents most similar to each text.

        Args:
            texts: One or more texts composed as in training; see :func:`patent_hier.inference.texts.listed`.
            k: Maximum number of neighbours per text, 1 or more.

        Returns:
            For each text, its neighbours in descending order of similarity, ties in document order; fewer than ``k`` if
            fewer documents share an n-gram with it.

        Raises:
            ConfigError: If ``k`` is below 1.
            DataError: If an item is not a string; the message gives its position.
        """
        if k < 1:
            raise ConfigError(f"k={k} is out of range; use 1 or more neighbours")
        given = listed(texts)
        if not given:
            return []
        features = tf_idf(self._reader.encode(given).matrix, self._idf)  # (texts, n-grams)
        found = [self._best(self._similarity(features[row]), k) for row in range(len(given))]
        known = self._read_documents(sorted({document for best in found for document, _ in best}))
        return [[Neighbour(*known[document], similarity) for document, similarity in best] for best in found]

    def _similarity(self, features: csr_matrix) -> NDArray[np.float64]:
        """Return the cosine similarity to every document, ``(size,)``, for one row of features, ``(1, ngrams)``."""
        similarity = np.zeros(self.size)
        documents, weights = (self._index.get_slice(name) for name in ("documents", "weights"))  # read slice by slice
        for ngram, weight in zip(features.indices.tolist(), features.data.tolist(), strict=True):
            start, end = int(self._offsets[ngram]), int(self._offsets[ngram + 1])
            similarity[documents[start:end]] += np.float64(weight) * weights[start:end]  # each document occurs once
        return similarity

    @staticmethod
    def _best(similarity: NDArray[np.float64], k: int) -> list[tuple[int, float]]:
        """Return the documents with the ``k`` highest similarities above 0."""
        least = np.partition(similarity, len(similarity) - k)[len(similarity) - k] if k < len(similarity) else 0.0
        chosen = np.flatnonzero((similarity >= least) & (similarity > 0))
        order = chosen[np.argsort(-similarity[chosen], kind="stable")][:k]
        return [(document, min(1.0, float(similarity[document]))) for document in order.tolist()]

    def _read_documents(self, wanted: list[int]) -> dict[int, tuple[str, str, tuple[str, ...]]]:
        """Return ID, title and path of some documents in ascending order; reads only their row groups."""
        known = {}
        with self._documents() as documents:
            for group, members in groupby(wanted, lambda document: document // _ROW_GROUP):
                rows = documents.read_row_group(group)
                for document in members:
                    one = rows.slice(document % _ROW_GROUP, 1).to_pylist()[0]
                    known[document] = one["document_id"], one["title"], tuple(one["path"])
        return known

    def _documents(self) -> pq.ParquetFile:
        """Open the document table; each query opens its own, because threads must not share one."""
        return pq.ParquetFile(self._folder / _DOCUMENTS, memory_map=True)
