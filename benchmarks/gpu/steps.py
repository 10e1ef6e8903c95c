"""Run steps within a time limit: a step that does not fit is skipped, and a failed step does not stop the others."""

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
_AGAIN = 5  # seconds between two attempts to stop a step
_PATIENCE = 3  # multiple of its expected seconds after which a step is stopped
_Context = TypeVar("_Context")


class Clock:
    """Clock of a check with a time limit.

    Args:
        seconds: Time limit in seconds from the start.
        start: Start on the monotonic clock; None for now.

    Attributes:
        step_ends: Time limit of the current step, in seconds from the start.
    """

    def __init__(self, seconds: float, start: float | None = None) -> None:
        self._start = monotonic() if start is None else start
        self._seconds = seconds
        self.step_ends = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until the time limit of the check."""
        return self._seconds - self.elapsed

    @property
    def step_left(self) -> float:
        """Seconds until the time limit of the current step."""
        return self.step_ends - self.elapsed


@dataclass(frozen=True)
class Found:
    """The findings of a step.

    Attributes:
        facts: Findings as JSON-compatible values.
        text: Findings in Markdown.
        fault: Why the step counts as failed although it ran to its end; empty otherwise.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Step(Generic[_Context]):
    """One step.

    Attributes:
        name: Name of one or two words.
        what: Description of one line.
        seconds: Expected seconds.
        work: Function that does the work.
    """

    name: str
    what: str
    seconds: float
    work: Callable[[_Context], Found]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a step: ``done``, ``failed`` or ``skipped``, with the reason."""

    name: str
    what: str
    status: str
    seconds: float
    reason: str = ""
    found: Found = field(default_factory=Found)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON-compatible values."""
        own = {"name": self.name, "what": self.what, "status": self.status, "reason": self.reason}
        return {**own, "seconds": round(self.seconds, 1), "facts": dict(self.found.facts)}


def run_steps(
    steps: Sequence[Step[_Context]],
    context: _Context,
    clock: Clock,
    keep: Callable[[Sequence[Outcome]], None],
    say: Callable[[str], None],
) -> list[Outcome]:
    """Run steps one after the other and return their outcomes.

    Args:
        steps: The steps, the most valuable first.
        context: Argument of their work.
        clock: Clock of all steps; a step is skipped if fewer than its expected seconds are left.
        keep: Function called with all outcomes after every step, so that an interrupted run leaves its record.
        say: Function called with a line at the start and end of each step, with the seconds passed and left.
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
        why = f"too little time: about {step.seconds:.0f} s are needed, {max(0.0, clock.left):.0f} s are left"
        return Outcome(step.name, step.what, SKIPPED, 0.0, why)
    limit = min(_PATIENCE * step.seconds, clock.left)
    clock.step_ends = begin + limit
    try:
        with _at_most(limit):
            found = step.work(context)
        status, why = (FAILED if found.fault else DONE), found.fault
    except Exception as error:  # whatever the error is, the other steps still run
        status, why = FAILED, _line(error)
    return Outcome(step.name, step.what, status, clock.elapsed - begin, why, found)


def _line(error: BaseException) -> str:
    """Return an error as one line, with its type unless it is one of the package's own errors."""
    return reason(error) if isinstance(error, PatentHierError) else f"{type(error).__name__}: {reason(error)}"


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Stop a block after ``seconds`` if the system supports alarms; an alarm that was set before is restored.

    Raises:
        ProcessError: When the time is over.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise ProcessError(f"stopped after {seconds:.0f} s; find out why the step hangs")

    start, handler = monotonic(), signal.signal(signal.SIGALRM, stop)
    # The alarm repeats, because an exception raised inside a destructor is lost.
    before, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, before - (monotonic() - start)))
