"""A callback through which outside code watches a score and may stop training."""

from collections.abc import Callable

import pytorch_lightning as pl


class PruningCallback(pl.Callback):
    """Callback that passes each epoch's score to a function and stops training after the epoch if it returns True.

    Args:
        monitors: Names of the score; the first one that is logged is used.
        ask: Takes an epoch, from 1, and its score; returns whether to stop.

    Attributes:
        stopped: Whether the callback has stopped training.
    """

    def __init__(self, monitors: tuple[str, ...], ask: Callable[[int, float], bool]) -> None:
        self._monitors = monitors
        self._ask = ask
        self._asked = 0  # the last epoch reported; epochs repeat if memory runs out
        self.stopped = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call the function once for each epoch; the epoch's validation has already run."""
        epoch = trainer.current_epoch + 1
        score = next(
            (trainer.callback_metrics[name] for name in self._monitors if name in trainer.callback_metrics), None
        )
        if score is None or epoch <= self._asked:
            return
        self._asked = epoch
        if self._ask(epoch, float(score)):
            self.stopped = trainer.should_stop = True
