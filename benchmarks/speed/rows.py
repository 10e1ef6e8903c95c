"""Rows of the benchmark: a piece of work, its cost for us and for the peer, and whether it meets the target."""

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
    target: float  # lower limit of the ratio; without a peer, upper limit of ``ours``
    repeats: int  # number of runs of each, in turn
    peer: float | None = None
    peer_name: str = "–"  # software or method that a user would pick instead
    ratio: float | None = None  # how many times faster ours is, within a repeat
    agrees: bool = True  # whether the result equals the peer's and memory is within its limit; required to be met
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the row reaches its target and its result agrees."""
        return self.agrees and (self.ours <= self.target if self.ratio is None else self.ratio >= self.target)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON-compatible values."""
        return {**asdict(self), "met": self.met}


def rate_row(
    work: str, unit: str, amount: float, rounds: Sequence[Sequence[float]], peer_name: str, **rest: Any
) -> Row:
    """Return a row of rates.

    Args:
        work: See :class:`Row`.
        unit: Counted unit, such as ``documents``.
        amount: Number of units that each run processes.
        rounds: Seconds of ours and of the peer in each repeat.
        peer_name: See :class:`Row`.
        **rest: ``target``, ``agrees`` and ``facts``; see :class:`Row`.
    """
    ours, peer = (amount / median(seconds) for seconds in zip(*rounds, strict=True))
    ratio = median(theirs / own for own, theirs in rounds)
    return Row(work, f"{unit}/s", ours, repeats=len(rounds), peer=peer, peer_name=peer_name, ratio=ratio, **rest)


def in_turn(*works: Callable[[], object], repeats: int, warm_up: int = 1) -> list[list[float]]:
    """Return the seconds of each piece of work in each repeat, ``repeats`` lists of ``len(works)``.

    In each repeat, all run one after the other, so that conditions are equal; ``warm_up`` untimed repeats come first.
    """

    def seconds(work: Callable[[], object]) -> float:
        start = perf_counter()
        work()
        return perf_counter() - start

    return [[seconds(work) for work in works] for _ in range(warm_up + repeats)][warm_up:]
