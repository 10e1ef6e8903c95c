"""Conversion from Traditional to Simplified characters with OpenCC (the extra ``convert``)."""

import functools
from collections.abc import Callable

from patent_hier.errors import ConfigError

CONVERSIONS = ("t2s", "tw2sp", "hk2s")  # Traditional; Taiwan, including its terms; Hong Kong


@functools.cache
def converter(name: str) -> Callable[[str], str]:
    """Return a function that converts a text.

    Raises:
        ConfigError: If the conversion is unknown, or OpenCC is not installed.
    """
    if name not in CONVERSIONS:
        raise ConfigError(f"data.convert={name!r} is unknown; choose one of {', '.join(CONVERSIONS)}, or omit it")
    try:
        import opencc
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'data.convert={name} needs OpenCC; install it: pip install "patent_hier[convert]" '
            '(in a checkout: pip install -e ".[convert]")'
        ) from error
    convert: Callable[[str], str] = opencc.OpenCC(name).convert
    return convert
