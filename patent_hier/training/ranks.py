"""The processes that train one node together, one per device, and the documents of a batch that each reads.

A process is called a rank, as in MPI and torchrun. Each rank reads its share of a batch in one pass or, to save memory,
in several. This module does not import torch, because settings and batches need only the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """All ranks, from the point of view of one of them.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of ranks on all machines together.
        local_size: Number of ranks on this machine, and on every other machine.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str]) -> "Ranks | None":
        """Return the ranks in torchrun's environment; None unless torchrun started several processes."""
        if not all(name in environment for name in _VARIABLES) or int(environment["WORLD_SIZE"]) == 1:
            return None
        return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"]))

    def share(self, lengths: NDArray[np.int64], number: int = 0, passes: int = 1) -> NDArray[np.intp]:
        """Return the positions in a batch that this rank reads in one pass, ascending; none if documents are too few.

        Documents are dealt out from the longest to the shortest, forwards and backwards in turn. The shares therefore
        differ by at most one document and have nearly the same total length.

        Args:
            lengths: Tokens of each document of the batch, ``(batch,)``.
            number: Number of the pass, from 0.
            passes: Number of passes in which the batch is read.
        """
        shares = self.size * passes
        if shares == 1:
            return np.arange(len(lengths))
        order = np.argsort(-lengths, kind="stable")
        place = np.arange(len(order)) % (2 * shares)
        owner = np.minimum(place, 2 * shares - 1 - place)  # 0 1 2 2 1 0 0 1 2 …
        return np.sort(order[owner == number * self.size + self.rank])


ALONE = Ranks()
