"""Token ids of a whole corpus, encoded once and memory-mapped by every node.

On disk: ``ids.bin`` (all documents end to end, little-endian, without padding) and ``offsets.npy`` (each document's
start).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError
from patent_hier.features.ragged import Ragged, end_to_end
from patent_hier.sanitize import reason, shown

IDS_FILE = "ids.bin"
OFFSETS_FILE = "offsets.npy"
_DTYPES = ("<u2", "<u4")


def ids_dtype(manifest: Any) -> np.dtype[np.unsignedinteger]:
    """Return the type of a store's ids from its manifest.

    Only the types that the package writes are accepted: with type ``object``, numpy would treat a file's bytes as
    memory addresses.

    Raises:
        ValueError: If the manifest names any other type.
    """
    if manifest["dtype"] not in _DTYPES:
        raise ValueError(f"its manifest has dtype {shown(manifest['dtype'])}, not one of {', '.join(_DTYPES)}")
    dtype: np.dtype[np.unsignedinteger] = np.dtype(manifest["dtype"])
    return dtype


def write_store(folder: Path, dtype: np.dtype[np.unsignedinteger], batches: Iterable[Ragged]) -> NDArray[np.int64]:
    """Write ids in the layout of :class:`TokenStore`, in constant memory; the caller's manifest must have ``dtype``.

    Args:
        folder: Folder for ``ids.bin`` and ``offsets.npy``.
        dtype: Little-endian type of the ids.
        batches: The documents in order.

    Returns:
        The start of each document and the end of the last one, ``(n_documents + 1,)``.
    """
    lengths = [np.zeros(1, np.int64)]
    with (folder / IDS_FILE).open("wb") as file:
        for ids, counts in batches:
            file.write(ids.astype(dtype).tobytes())
            lengths.append(counts)
    offsets = np.cumsum(np.concatenate(lengths))
    np.save(folder / OFFSETS_FILE, offsets, allow_pickle=False)
    return offsets


class TokenStore:
    """Memory-mapped token ids: ``store[i]`` is document ``i`` of the corpus, ``(length,)`` with [CLS] and [SEP].

    Attributes:
        offsets: Start of each document and end of the last one, ``(n_documents + 1,)``.
        lengths: Number of tokens of each document, ``(n_documents,)``.
    """

    def __init__(self, ids: NDArray[np.unsignedinteger], offsets: NDArray[np.int64]) -> None:
        self._ids = ids
        self.offsets = offsets
        self.lengths = np.diff(offsets)

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map a sealed folder.

        Raises:
            ArtifactError: If the folder is damaged.
        """
        manifest = read_json(folder / "manifest.json")
        try:
            offsets = np.load(folder / OFFSETS_FILE, allow_pickle=False)
            ids = np.memmap(folder / IDS_FILE, dtype=ids_dtype(manifest), mode="r", shape=(int(offsets[-1]),))
        except (EOFError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ArtifactError(
                f"token cache {folder} is damaged ({reason(error)}); delete it and run again"
            ) from error
        return TokenStore(ids, offsets)

    @classmethod
    def in_memory(cls, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> "TokenStore":
        """Build a store of a few texts at prediction time; arguments as in :mod:`patent_hier.features.ragged`."""
        return TokenStore(ids.astype(np.uint32), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def from_documents(cls, documents: Iterable[list[int]]) -> "TokenStore":
        """Build a store in memory from one list of ids per document."""
        return TokenStore.in_memory(*end_to_end(list(documents)))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> NDArray[np.unsignedinteger]:
        return self._ids[self.offsets[index] : self.offsets[index + 1]]

    def padded_length(self, indices: Sequence[int] | NDArray[np.intp]) -> int:
        """Return the width of a batch of these documents: the length of the longest, at least 1."""
        return max(1, int(self.lengths[indices].max(initial=0)))


class JoinedTokens(TokenStore):
    """Two stores presented as one, without copying: the second store's documents follow the first's.

    Args:
        first: Store whose documents keep their positions.
        second: Store whose document ``i`` gets position ``len(first) + i``.

    Attributes:
        lengths: Number of tokens of each document, ``(len(first) + len(second),)``.
    """

    def __init__(self, first: TokenStore, second: TokenStore) -> None:
        self._first = first
        self._second = second
        self.lengths = np.concatenate([first.lengths, second.lengths])

    def __getitem__(self, index: int) -> NDArray[np.unsignedinteger]:
        n = len(self._first)
        return self._first[index] if index < n else self._second[index - n]


def pad_batch(
    store: TokenStore, indices: Sequence[int] | NDArray[np.intp], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad documents to the length of the longest among them.

    Args:
        store: Token ids of all documents.
        indices: Positions of the documents in the store.
        pad_id: Token id of ``[PAD]``.

    Returns:
        ``input_ids`` and ``attention_mask``, both ``(len(indices), longest)``.
    """
    longest = store.padded_length(indices)
    input_ids = np.full((len(indices), longest), pad_id, np.int64)
    attention_mask = np.zeros((len(indices), longest), np.int64)
    for row, index in enumerate(indices):
        document = store[int(index)]
        input_ids[row, : len(document)] = document
        attention_mask[row, : len(document)] = 1
    return input_ids, attention_mask
