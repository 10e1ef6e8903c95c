"""What every check of settings says in the same words: one of these, from here to there, a folder's name."""

import re

from patent_hier.errors import ConfigError

_UNBOUNDED = 10**6  # a bound from here on only keeps nonsense out


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among the allowed ones.

    Raises:
        ConfigError: Naming the setting, its value and what is allowed; likewise below.
    """
    if value not in allowed:
        raise ConfigError(f"{name}={value} is unknown; choose one of {', '.join(allowed)}")


def between(name: str, value: float | None, low: float, high: float) -> None:
    """Refuse a number outside a range, both ends allowed; ``None``, where a setting may be that, passes."""
    if value is not None and not low <= value <= high:
        allowed = f"{low:g} or more" if high >= _UNBOUNDED else f"a value from {low:g} to {high:g}"
        raise ConfigError(f"{name}={value} is out of range; use {allowed}")


def folder_name(name: str, value: str) -> None:
    """Refuse what cannot name a folder on every system."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value):
        raise ConfigError(f"{name}={value} names a folder; use letters, digits, _, . and - only")
