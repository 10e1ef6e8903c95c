"""What a search may choose: for each setting the values, as Optuna draws them and as overrides spell them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Trial

_DIGITS = 4  # of a drawn number: a best setting of 17 digits tells no more and cannot be typed


@dataclass(frozen=True)
class Choice:
    """Values without an order.

    Attributes:
        values: As overrides spell them.
    """

    values: tuple[str, ...]

    @property
    def first(self) -> str:
        """One of the values."""
        return self.values[0]

    def draw(self, trial: "Trial", name: str) -> str:
        """A trial's value, as an override spells it; the same again for a trial that goes on."""
        return str(trial.suggest_categorical(name, list(self.values)))

    def place(self, value: Any) -> str | None:
        """A given value as Optuna knows it; None if it is not among the values."""
        text = _spelt(value)
        return text if text in self.values else None


@dataclass(frozen=True)
class Interval:
    """Numbers between two bounds, both included.

    Attributes:
        low: If both bounds are ``int``, so are the values.
        high: The upper bound.
        log: Draw the logarithm evenly; ``low`` is above 0 then.
        step: Distance between values, counted from ``low``; None for any number (any whole one). Not with ``log``.
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
        """As :meth:`Choice.draw`; a number has four significant digits."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return str(trial.suggest_int(name, int(self.low), int(self.high), step=step, log=self.log))
        drawn = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return _spelt(min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high))

    def place(self, value: Any) -> float | None:
        """As :meth:`Choice.place`."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high or (self.whole and value != int(value)):
            return None
        if self.step is not None and (value - self.low) % self.step:
            return None
        return int(value) if self.whole else float(value)


Axis = Choice | Interval


def _spelt(value: Any) -> str:
    """As YAML and Hydra write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelt, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
