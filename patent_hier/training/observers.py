"""Loggers and callbacks of the user's choice, which watch training. No result depends on them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger


@dataclass(frozen=True)
class Observers:
    """The loggers and callbacks of one run.

    Attributes:
        loggers: Lightning's.
        callbacks: Lightning's; they come behind those that training itself needs.
        folder: Where a callback writes that is not told otherwise; None where there are none.
    """

    loggers: list[Logger] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    folder: Path | None = None


# Makes them anew for each process and attempt; pickle must take it.
Observe = Callable[[], Observers]
# The same for a folder of logs and a name in it, which are known when a node's result has its name.
ObserverFactory = Callable[[Path, str], Observers]
