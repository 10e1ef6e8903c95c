"""Hydra's sweeps (``choice``, ``range``, ``interval``, ``tag(log, …)``) as a search space."""

import math
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from patent_hier.cli.overrides import readable
from patent_hier.errors import ConfigError
from patent_hier.pipeline.search_space import Axis, Choice, Interval

_FORMS = "choice(a,b), range(start,stop,step), interval(low,high), int(interval(1,9)) or tag(log, interval(low,high))"
_FIXED = {
    "level": "each level has settings of its own",
    "node": "each node has different documents",
    "seed": "a seed is not a setting to optimise; use --seeds 3 for the mean over three",
}


def read_space(words: Sequence[str]) -> tuple[list[str], dict[str, Axis]]:
    """Split the words of a command into overrides shared by all trials and settings to search.

    Args:
        words: Overrides; the value of a setting to search is a sweep in the syntax of Hydra's Optuna sweeper.

    Returns:
        The shared words, unchanged; and the axis of each setting to search, by its name with any ``+``.

    Raises:
        ConfigError: If there is no setting to search, or one that cannot be searched.
    """
    shared: list[str] = []
    space: dict[str, Axis] = {}
    parser = OverridesParser.create()
    for word, override in zip(words, parser.parse_overrides(readable(words)), strict=True):
        if not override.is_sweep_override():
            shared.append(word)
            continue
        name = word.partition("=")[0]
        if why := _FIXED.get(override.key_or_group):
            raise ConfigError(f"{word} cannot be searched: {why}")
        space[name] = _axis(word, override)
    if not space:
        raise ConfigError(
            f"there is nothing to search; give a setting several values, such as 'model.dropout={_FORMS}'"
        )
    return shared, space


def _axis(word: str, override: Override) -> Axis:
    sweep = override.value()
    tags: set[str] = getattr(sweep, "tags", set())
    if tags - {"log"} or (tags and not isinstance(sweep, IntervalSweep)):
        raise ConfigError(f"{word}: the only tag is tag(log, interval(low,high)); use that form")
    if isinstance(sweep, IntervalSweep):
        return _interval(word, sweep)
    if isinstance(sweep, RangeSweep) and sweep.step > 0:
        return _range(word, sweep)
    if not isinstance(sweep, ChoiceSweep):
        raise ConfigError(f"{word} cannot be searched; use {_FORMS}")
    values = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if len(values) < 2:
        raise ConfigError(f"{word} has a single value; give several")
    return Choice(values)


def _range(word: str, sweep: RangeSweep) -> Interval:
    low, stop, step = sweep.start, sweep.stop, sweep.step
    assert low is not None  # Hydra's parser sets both
    assert stop is not None
    most = math.ceil((stop - low) / step - 1e-9) - 1  # stop is excluded, as in Python
    if most < 1:
        raise ConfigError(f"{word} has fewer than two values; note that stop is excluded")
    return Interval(low, low + most * step, step=step)


def _interval(word: str, sweep: IntervalSweep) -> Interval:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or not low < high:
        raise ConfigError(f"{word} has invalid bounds; the lower one comes first and is less than the upper one")
    if log and low <= 0:
        raise ConfigError(f"{word}: a logarithmic scale needs bounds above 0")
    return Interval(low, high, log)
