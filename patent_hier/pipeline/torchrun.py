"""The processes that torchrun has started: rank 0 runs the command, the others train with it and do nothing else.

Rank 0 composes the settings, holds locks, makes inputs, scores, writes and prints, as if it were alone. When a node is
to be trained it tells the others which one, by its plan. They need no command line, and see no folder but those of
finished inputs; on several machines, ``cache_dir`` must be a folder that all of them share.
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
_FAILED = "patent_hier/failed"  # the key by which a rank tells rank 0, before its connections break
_LOST = "a process of torchrun failed while a node was trained, its own line says why; run again"
_PATIENCE = datetime.timedelta(days=30)  # of a rank, while rank 0 prepares a corpus; torchrun ends it if rank 0 fails
_session: "Session | None" = None


class Session:
    """Rank 0's side of one command.

    Args:
        ranks: All processes, seen from rank 0.
    """

    def __init__(self, ranks: Ranks) -> None:
        from patent_hier.training.launch import find_store

        self._ranks = ranks
        self._store = find_store()
        self._told = 0
        self._broken = False

    def check(self, trainer: TrainerSettings) -> None:
        """Refuse settings that mean another number of devices than torchrun's.

        Raises:
            ConfigError: Naming both numbers.
        """
        if trainer.devices not in (None, self._ranks.local_size):
            raise ConfigError(
                f"trainer.devices={trainer.devices}, but torchrun has started {self._ranks.local_size} processes on "
                "each machine; use trainer=ddp, which takes torchrun's number"
            )

    def fit(self, plan: NodePlan, view: "CorpusView[Any]") -> "Fitted":
        """Fit a node together with the other ranks.

        Raises:
            LostRanksError: If another rank failed, or an earlier node while it was trained: the ranks are lost then.
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
        """Let the other ranks go."""
        self._tell(_END)
        if not self._broken:  # else it would wait for processes that are gone
            _leave()

    def _tell(self, word: bytes) -> None:
        self._store.set(_key(self._told), word)
        self._told += 1


def current_session() -> Session | None:
    """The session of this process, if torchrun has started it and it is rank 0."""
    return _session


def open_session(ranks: Ranks) -> Session:
    """Begin to be rank 0."""
    global _session
    _session = Session(ranks)
    return _session


def follow(ranks: Ranks) -> None:
    """Be another rank: train what rank 0 says, until it says that there is no more.

    Raises:
        PatentHierError: If this rank's part fails; torchrun then ends all others.
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
    """Rank 0's plan, on every rank."""
    import torch
    import torch.distributed as dist

    from patent_hier.training.launch import join_group

    join_group(ranks, torch.cuda.is_available(), dist.PrefixStore("group", store))  # type: ignore[attr-defined]  # it is there
    told: list[NodePlan | None] = [plan]
    dist.broadcast_object_list(told, src=0)
    assert told[0] is not None
    return told[0]


def _leave() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
