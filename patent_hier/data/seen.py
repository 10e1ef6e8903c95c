"""A memory-efficient set of the keys already seen in a stream."""

import numpy as np
from numpy.typing import NDArray


class SeenHashes:
    """A growing set of 64-bit hashes that distinguishes first occurrences from repetitions, batch by batch.

    The hashes are stored in sorted runs, each at least twice as long as the next (a log-structured merge). A key takes
    8 bytes at rest and about 16 while the longest run is rebuilt, and n keys are merged about log2(n) times. 2.77
    million keys take 22 MB.

    Two different keys are confused if their hashes collide. The probability of a collision among n keys is about
    n² / 2⁶⁵, or 2·10⁻⁷ for a whole file of 2.77 million rows.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def first_seen(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Add a batch.

        Args:
            hashes: Hashes in the order of the stream, ``(n,)``; they may contain repetitions.

        Returns:
            Mask ``(n,)`` of the hashes that occur for the first time in the whole stream.
        """
        values, positions = np.unique(hashes, return_index=True)
        is_new = ~self.holds(values)
        self._add(values[is_new])
        result = np.zeros(len(hashes), dtype=np.bool_)
        result[positions[is_new]] = True
        return result

    def holds(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return a mask ``(n,)`` of the hashes that were added before, without adding any."""
        is_known = np.zeros(len(hashes), dtype=np.bool_)
        for run in self._runs:
            nearest = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            is_known |= run[nearest] == hashes
        return is_known

    def _add(self, run: NDArray[np.uint64]) -> None:
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges sorted pieces in linear time
        if len(run):
            self._runs.append(run)
