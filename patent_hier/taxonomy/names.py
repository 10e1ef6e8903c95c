"""Names of IPC sections and classes."""

import csv
import functools
from collections.abc import Sequence
from importlib import resources

from patent_hier.errors import ConfigError, DataError

LANGUAGES: tuple[str, ...] = ("zh", "en")


def name_of(code: str, language: str = "zh") -> str:
    """The short name of a section or class, in this project's own wording.

    Args:
        code: ``"A"`` or ``"A01"``.
        language: ``"zh"`` or ``"en"``.

    Raises:
        DataError: If the code is no section or class of the latest edition.
        ConfigError: If the language is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    try:
        return _names()[code][language]
    except KeyError:
        raise DataError(f"no name for {code!r}; sections (A) and classes (A01) have one") from None


def known_name(codes: Sequence[str], language: str = "zh") -> str:
    """The short name of the last of some codes that has one, in this project's own wording; empty if none has.

    Args:
        codes: Such as the labels on a path, from the top.
        language: ``"zh"`` or ``"en"``.
    """
    return next((_names()[code][language] for code in reversed(codes) if code in _names()), "")


@functools.cache
def _names() -> dict[str, dict[str, str]]:
    text = (resources.files("patent_hier.resources") / "ipc_names.csv").read_text("utf-8")
    return {row["code"]: row for row in csv.DictReader(text.splitlines())}
