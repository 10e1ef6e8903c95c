"""A callback by which somebody outside watches a score and may end training."""

from collections.abc import Callable

import pytorch_lightning as pl


class PruningCallback(pl.Callback):
    """Hand on the score of each epoch; end training behind that epoch if told to.

    Args:
        monitors: Names of the score; the first that is logged is taken.
        ask: Takes an epoch, from 1, and its score; says whether to stop.

    Attributes:
        stopped: Whether it has ended training.
    """

    def __init__(self, monitors: tuple[str, ...], ask: Callable[[int, float], bool]) -> None:
        self._monitors = monitors
        self._ask = ask
        self._asked = 0  # the last epoch: one that memory ran out in begins again
        self.stopped = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask, once for each epoch; its validation has already run."""
        epoch = trainer.current_epoch + 1
        score = next(
            (trainer.callback_metrics[name] for name in self._monitors if name in trainer.callback_metrics), None
        )
        if score is None or epoch <= self._asked:
            return
        self._asked = epoch
        if self._ask(epoch, float(score)):
            self.stopped = trainer.should_stop = True
