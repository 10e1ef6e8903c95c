"""The processes that train one node together, one for each device, and which documents of a batch are whose.

A process is a rank, as in MPI and torchrun. Each reads its share of a batch in one pass or, for want of memory, in
several. No torch here: settings and batches need only the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """All ranks, seen from one of them.

    Attributes:
        rank: This process's number, from 0.
        size: How many there are, on all machines.
        local_size: How many there are on this machine, and on every other.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str]) -> "Ranks | None":
        """The ranks in torchrun's environment; None unless torchrun has started this process, and others."""
        if not all(name in environment for name in _VARIABLES) or int(environment["WORLD_SIZE"]) == 1:
            return None
        return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"]))

    def share(self, lengths: NDArray[np.int64], number: int = 0, passes: int = 1) -> NDArray[np.intp]:
        """The positions in a batch that this rank reads in one pass, ascending; none if there are too few documents.

        The batch is dealt from its longest document to its shortest, forwards and backwards in turn, so the shares have
        equally many documents up to one, of nearly equal length in sum.

        Args:
            lengths: Tokens of each document of the batch, ``(batch,)``.
            number: Which of the passes, from 0.
            passes: In how many the batch is read.
        """
        shares = self.size * passes
        if shares == 1:
            return np.arange(len(lengths))
        order = np.argsort(-lengths, kind="stable")
        place = np.arange(len(order)) % (2 * shares)
        owner = np.minimum(place, 2 * shares - 1 - place)  # 0 1 2 2 1 0 0 1 2 …
        return np.sort(order[owner == number * self.size + self.rank])


ALONE = Ranks()
