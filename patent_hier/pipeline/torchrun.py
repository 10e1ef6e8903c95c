"""Processes started by torchrun: rank 0 runs the command, and the other ranks only train with it.

Rank 0 composes the settings, holds locks, makes inputs, scores, writes and prints, like a single process. To train a
node, it sends the node's plan to the other ranks. They need no command line and read only the folders of finished
inputs; on several machines, ``cache_dir`` must be a folder that all of them share.
"""

import datetime
from typing import TYPE_CHECKING, Any

from patent_hier.errors import ConfigError, LostRanksError
from patent_hier.pipeline.plan import NodePlan
from patent_hier.settings import TrainerSettings
from patent_hier.training.ranks import Ranks

if TYPE_CHECKING:
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.node_data import CorpusView

_TRAIN, _END = b"train", b"end"
_FAILED = "patent_hier/failed"  # key that a failing rank sets for rank 0 before its connections break
_LOST = "a torchrun process failed during training: its own error line gives the reason; run the command again"
_PATIENCE = datetime.timedelta(days=30)  # ranks wait while rank 0 prepares a corpus; if it fails, torchrun ends them
_session: "Session | None" = None


class Session:
    """Rank 0's side of one command.

    Args:
        ranks: Rank 0's view of all processes.
    """

    def __init__(self, ranks: Ranks) -> None:
        from patent_hier.training.launch import find_store

        self._ranks = ranks
        self._store = find_store()
        self._told = 0
        self._broken = False

    def check(self, trainer: TrainerSettings) -> None:
        """Raise an error if the settings ask for another number of devices than torchrun has started.

        Raises:
            ConfigError: If so; the message gives both numbers.
        """
        if trainer.devices not in (None, self._ranks.local_size):
            raise ConfigError(
                f"trainer.devices={trainer.devices}, but torchrun has started {self._ranks.local_size} processes on "
                "each machine; use trainer=ddp, which uses torchrun's number"
            )

    def fit(self, plan: NodePlan, view: "CorpusView[Any]") -> "Fitted":
        """Fit a node together with the other ranks.

        Raises:
            LostRanksError: If another rank fails, or training an earlier node failed, which ends the other ranks.
        """
        from patent_hier.training.fit import fit_node

        if self._broken:
            raise LostRanksError(_LOST)
        self._tell(_TRAIN)
        try:
            _exchange(self._ranks, self._store, plan)
            return fit_node(view, plan.settings, plan.state, self._ranks, plan.observe)
        except BaseException as error:
            self._broken = True
            if isinstance(error, Exception) and self._store.check([_FAILED]):
                raise LostRanksError(_LOST) from error
            raise

    def end(self) -> None:
        """Tell the other ranks to exit."""
        self._tell(_END)
        if not self._broken:  # else it would wait for processes that have ended
            _leave()

    def _tell(self, word: bytes) -> None:
        self._store.set(_key(self._told), word)
        self._told += 1


def current_session() -> Session | None:
    """Return the session if torchrun has started this process and it is rank 0; None otherwise."""
    return _session


def open_session(ranks: Ranks) -> Session:
    """Open the session of rank 0."""
    global _session
    _session = Session(ranks)
    return _session


def follow(ranks: Ranks) -> None:
    """Run as another rank: train the nodes that rank 0 sends, until it ends the session.

    Raises:
        PatentHierError: If training fails on this rank; torchrun then ends all others.
    """
    from patent_hier.training.fit import fit_node
    from patent_hier.training.launch import be_quiet, find_store

    be_quiet()
    store = find_store()
    told = 0
    while _hear(store, told) == _TRAIN:
        try:
            plan = _exchange(ranks, store, None)
            fit_node(plan.open(), plan.settings, plan.state, ranks, plan.observe)
        except Exception:
            store.set(_FAILED, b"1")
            raise
        told += 1
    _leave()


def _hear(store: Any, number: int) -> bytes:
    store.wait([_key(number)], _PATIENCE)
    return bytes(store.get(_key(number)))


def _key(number: int) -> str:
    return f"patent_hier/{number}"


def _exchange(ranks: Ranks, store: Any, plan: NodePlan | None) -> NodePlan:
    """Send rank 0's plan to all ranks, and return it on each."""
    import torch
    import torch.distributed as dist

    from patent_hier.training.launch import join_group

    join_group(ranks, torch.cuda.is_available(), dist.PrefixStore("group", store))  # type: ignore[attr-defined]  # it exists
    told: list[NodePlan | None] = [plan]
    dist.broadcast_object_list(told, src=0)
    assert told[0] is not None
    return told[0]


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
