"""The token ids of many documents in one array, end to end, with the length of each document."""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ragged = tuple[NDArray[np.int32], NDArray[np.int64]]


def end_to_end(documents: list[list[int]]) -> Ragged:
    """Return the ids of all documents end to end, and the number of ids of each document."""
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    return np.fromiter(chain.from_iterable(documents), np.int32, int(lengths.sum())), lengths


def join(parts: list[Ragged]) -> Ragged:
    """Join several lists of documents into one."""
    if not parts:
        return end_to_end([])
    ids, lengths = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(lengths)


def replace(documents: Ragged, rows: list[int], others: Ragged) -> Ragged:
    """Return all documents, with the documents at ``rows`` (ascending) replaced by ``others``."""
    (ids, lengths), (other_ids, other_lengths) = documents, others
    ends, other_ends = np.cumsum(lengths).tolist(), np.cumsum(other_lengths).tolist()
    pieces, done, other_done = [], 0, 0
    for row, other_end in zip(rows, other_ends, strict=True):
        pieces += [ids[done : ends[row - 1] if row else 0], other_ids[other_done:other_end]]
        done, other_done = ends[row], other_end
    lengths = lengths.copy()
    lengths[rows] = other_lengths
    return np.concatenate([*pieces, ids[done:]]), lengths
