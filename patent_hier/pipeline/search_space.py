"""The search space: the possible values of each setting, as drawn by Optuna and as written in overrides."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Trial

_DIGITS = 4  # significant digits of a drawn number; more are useless and hard to type


@dataclass(frozen=True)
class Choice:
    """Unordered values.

    Attributes:
        values: The values, as written in overrides.
    """

    values: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first of the values."""
        return self.values[0]

    def draw(self, trial: "Trial", name: str) -> str:
        """Return a trial's value as written in an override; a resumed trial gets the same value again."""
        return str(trial.suggest_categorical(name, list(self.values)))

    def place(self, value: Any) -> str | None:
        """Return a given value in Optuna's form; None if it is not among the values."""
        text = _spelt(value)
        return text if text in self.values else None


@dataclass(frozen=True)
class Interval:
    """Numbers between two bounds, both included.

    Attributes:
        low: The lower bound. If both bounds are ``int``, the values are integers.
        high: The upper bound.
        log: Whether to draw uniformly on a logarithmic scale; ``low`` must then be above 0.
        step: Distance between values, counted from ``low``; None for any number or integer. Not allowed with ``log``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def first(self) -> str:
        """The lowest value."""
        return _spelt(self.low)

    def draw(self, trial: "Trial", name: str) -> str:
        """Return a trial's value as :meth:`Choice.draw` does; a non-integer has four significant digits."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return str(trial.suggest_int(name, int(self.low), int(self.high), step=step, log=self.log))
        drawn = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return _spelt(min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high))

    def place(self, value: Any) -> float | None:
        """Return a given value in Optuna's form; None if the interval does not contain it."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high or (self.whole and value != int(value)):
            return None
        if self.step is not None and (value - self.low) % self.step:
            return None
        return int(value) if self.whole else float(value)


Axis = Choice | Interval


def _spelt(value: Any) -> str:
    """Return a value as written in YAML and Hydra."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelt, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
