"""A row of the bench: a piece of work, what it costs us and the peer, and whether that is good enough."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        work: What is done, in words, with its size.
        unit: Of ``ours``, ``peer`` and ``limit``.
        ours: Our figure, the median over the repeats.
        peer: The peer's; None where there is none.
        peer_name: What a user would pick instead.
        ratio: How many times better we are, the median of ratios within a repeat; None without a peer.
        target: What the ratio must reach; for a row without a peer, what ``ours`` must not exceed.
        limit: The most (or least) that this machine could do; None if unknown.
        limit_name: What sets the limit.
        agrees: Whether ours gives what the peer gives, and where memory is measured, in no more of it than allowed; a
            row that does not is not met, however fast.
        repeats: How often both ran, in turn.
        facts: What else is worth knowing.
    """

    work: str
    unit: str
    ours: float
    target: float
    repeats: int
    peer: float | None = None
    peer_name: str = "–"
    ratio: float | None = None
    limit: float | None = None
    limit_name: str = "–"
    agrees: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the row reaches its target with equal results."""
        reached = self.ours <= self.target if self.ratio is None else self.ratio >= self.target
        return reached and self.agrees

    @property
    def share_of_limit(self) -> float | None:
        """Our share of the limit, a fraction."""
        return None if self.limit is None else self.ours / self.limit

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "met": self.met, "share_of_limit": self.share_of_limit}


def in_turn(works: Sequence[Callable[[], object]], repeats: int, *, warm_up: int = 1) -> list[list[float]]:
    """Seconds of several pieces of work, run one after the other in each repeat, so that all meet the same machine.

    Args:
        works: The pieces of work.
        repeats: How often.
        warm_up: Rounds before the first that are not counted.

    Returns:
        For each repeat the seconds of each piece, ``repeats`` lists of ``len(works)``.
    """
    rounds = []
    for _ in range(warm_up + repeats):
        seconds = []
        for work in works:
            start = perf_counter()
            work()
            seconds.append(perf_counter() - start)
        rounds.append(seconds)
    return rounds[warm_up:]


def compare(amount: float, rounds: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Rates of ours and the peer, and their ratio, from :func:`in_turn` of these two.

    Args:
        amount: Units of work done in each run.
        rounds: Seconds of ours and of the peer in each repeat.

    Returns:
        Our median rate, the peer's, and the median of the ratios within a repeat.
    """
    ours, peer = zip(*rounds, strict=True)
    ratios = [theirs / our for our, theirs in rounds]
    return amount / statistics.median(ours), amount / statistics.median(peer), statistics.median(ratios)
