"""A row: a piece of work, what it costs us and the peer, and whether that is good enough."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement; ``ours``, ``peer`` and ``ratio`` are medians over the repeats."""

    work: str
    unit: str
    ours: float
    target: float  # the least ratio; without a peer, the most that ours may be
    repeats: int  # how often both ran, in turn
    peer: float | None = None
    peer_name: str = "–"  # what a user would pick instead
    ratio: float | None = None  # how many times faster we are, within a repeat
    agrees: bool = True  # with the peer's result, in no more memory than allowed; else the row is not met
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the row reaches its target with an equal result."""
        return self.agrees and (self.ours <= self.target if self.ratio is None else self.ratio >= self.target)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "met": self.met}


def rate_row(
    work: str, unit: str, amount: float, rounds: Sequence[Sequence[float]], peer_name: str, **rest: Any
) -> Row:
    """A row of rates.

    Args:
        work: See :class:`Row`.
        unit: What is counted, such as ``documents``.
        amount: How many of them each run goes through.
        rounds: Seconds of ours and of the peer in each repeat.
        peer_name: See :class:`Row`.
        **rest: ``target``, ``agrees`` and ``facts``, likewise.
    """
    ours, peer = (amount / median(seconds) for seconds in zip(*rounds, strict=True))
    ratio = median(theirs / own for own, theirs in rounds)
    return Row(work, f"{unit}/s", ours, repeats=len(rounds), peer=peer, peer_name=peer_name, ratio=ratio, **rest)


def in_turn(*works: Callable[[], object], repeats: int, warm_up: int = 1) -> list[list[float]]:
    """Seconds of each piece of work in each repeat, ``repeats`` lists of ``len(works)``.

    All run one after the other in each repeat, so that they meet the same machine, and ``warm_up`` times before.
    """

    def seconds(work: Callable[[], object]) -> float:
        start = perf_counter()
        work()
        return perf_counter() - start

    return [[seconds(work) for work in works] for _ in range(warm_up + repeats)][warm_up:]
