"""Steps of a check that must end in time: one that would not fit is skipped, one that fails does not end the rest."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

from patent_hier.errors import PatentHierError, ProcessError
from patent_hier.sanitize import reason

DONE, FAILED, SKIPPED = "done", "failed", "skipped"
_AGAIN = 5  # seconds between two tries to break off
_PATIENCE = 3  # times its expected seconds that a step may take before it is broken off
_Context = TypeVar("_Context")


class Clock:
    """The time that a check has.

    Args:
        seconds: From the start on.
        start: By the monotonic clock; now if left out.

    Attributes:
        step_ends: When the present step is broken off, in seconds from the beginning.
    """

    def __init__(self, seconds: float, start: float | None = None) -> None:
        self._start = monotonic() if start is None else start
        self._seconds = seconds
        self.step_ends = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until all must have ended."""
        return self._seconds - self.elapsed

    @property
    def step_left(self) -> float:
        """Seconds until the present step is broken off."""
        return self.step_ends - self.elapsed


@dataclass(frozen=True)
class Found:
    """The findings of a step.

    Attributes:
        facts: As JSON can hold them.
        text: The same for a reader, in Markdown.
        fault: Why the step counts as failed although it has come to its end; empty if it does not.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Step(Generic[_Context]):
    """One step.

    Attributes:
        name: In one word or two.
        what: What it does, in a line.
        seconds: That it is expected to take.
        work: Does it.
    """

    name: str
    what: str
    seconds: float
    work: Callable[[_Context], Found]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step: ``done``, ``failed`` or ``skipped``, and why."""

    name: str
    what: str
    status: str
    seconds: float
    reason: str = ""
    found: Found = field(default_factory=Found)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        own = {"name": self.name, "what": self.what, "status": self.status, "reason": self.reason}
        return {**own, "seconds": round(self.seconds, 1), "facts": dict(self.found.facts)}


def run_steps(
    steps: Sequence[Step[_Context]],
    context: _Context,
    clock: Clock,
    keep: Callable[[Sequence[Outcome]], None],
    say: Callable[[str], None],
) -> list[Outcome]:
    """Run steps one after the other.

    Args:
        steps: The most valuable first.
        context: What their work takes.
        clock: The time that all have; a step whose expected seconds are not left is skipped.
        keep: Takes the outcomes so far after every step, so that a run that is cut off leaves what it has done.
        say: Takes a line at the beginning and at the end of each step, with the seconds that are gone and left.
    """
    outcomes: list[Outcome] = []
    for number, step in enumerate(steps, 1):
        head = f"{step.name} ({number} of {len(steps)})"
        if clock.left >= step.seconds:
            say(f"{clock.elapsed:4.0f} s, {clock.left:.0f} s left: {head}, about {step.seconds:.0f} s: {step.what}")
        outcome = _run(step, context, clock)
        outcomes.append(outcome)
        why = f": {outcome.reason}" if outcome.reason else ""
        say(f"{clock.elapsed:4.0f} s, {clock.left:.0f} s left: {head} {outcome.status} in {outcome.seconds:.1f} s{why}")
        keep(outcomes)
    return outcomes


def _run(step: Step[_Context], context: _Context, clock: Clock) -> Outcome:
    begin, found = clock.elapsed, Found()
    if clock.left < step.seconds:
        why = f"no time left: about {step.seconds:.0f} s are needed, {max(0.0, clock.left):.0f} s are left"
        return Outcome(step.name, step.what, SKIPPED, 0.0, why)
    limit = min(_PATIENCE * step.seconds, clock.left)
    clock.step_ends = begin + limit
    try:
        with _at_most(limit):
            found = step.work(context)
        status, why = (FAILED if found.fault else DONE), found.fault
    except Exception as error:  # whatever it is, the other steps are still worth their time
        status, why = FAILED, _line(error)
    return Outcome(step.name, step.what, status, clock.elapsed - begin, why, found)


def _line(error: BaseException) -> str:
    """Ours speak for themselves; of others the kind is said too."""
    return reason(error) if isinstance(error, PatentHierError) else f"{type(error).__name__}: {reason(error)}"


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Break off what takes longer, where the system has such an alarm; one that is set already is set again.

    Raises:
        ProcessError: When the time is over.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise ProcessError(f"stopped after {seconds:.0f} s; look for what hangs")

    start, handler = monotonic(), signal.signal(signal.SIGALRM, stop)
    # Again and again: an exception that reaches a destructor is lost.
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, before - (monotonic() - start)))
