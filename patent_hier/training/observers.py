"""Loggers and callbacks that the user chooses to watch training; they do not affect any result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger


@dataclass(frozen=True)
class Observers:
    """The loggers and callbacks of one run.

    Attributes:
        loggers: Lightning loggers.
        callbacks: Lightning callbacks, which run after those that training itself needs.
        folder: Default output folder of the callbacks; None if there are none.
    """

    loggers: list[Logger] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    folder: Path | None = None


# Creates new observers for each process and attempt; must be picklable.
Observe = Callable[[], Observers]
# Returns such a function for a log folder and a name in it, which are known once a node's result has its name.
ObserverFactory = Callable[[Path, str], Observers]
