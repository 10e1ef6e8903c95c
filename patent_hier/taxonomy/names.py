"""Names of labels: titles from the user's table, and built-in short names of IPC sections and classes."""

import csv
import functools
from collections.abc import Sequence
from importlib import resources

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy.symbols import IPC_LEVELS, SECTIONS
from patent_hier.taxonomy.tree import LabelTree

LANGUAGES: tuple[str, ...] = ("zh", "en")


def name_of(code: str, language: str = "zh") -> str:
    """Return the short name of a section or class, in this project's own wording.

    Args:
        code: Section or class, such as ``"A"`` or ``"A01"``.
        language: ``"zh"`` or ``"en"``.

    Raises:
        DataError: If the code is not a section or class of the latest edition.
        ConfigError: If the language is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    try:
        return _names()[code][language]
    except KeyError:
        raise DataError(f"no name for {code!r}; only sections (A) and classes (A01) have names") from None


class LabelNames:
    """Names of labels: the titles in their tree and, for the IPC, built-in short names of sections and classes.

    Args:
        tree: Label tree, with the known titles.
    """

    def __init__(self, tree: LabelTree) -> None:
        self._titles = tree.titles
        self._ours = _names() if is_ipc(tree) else {}

    def all_of(self, code: str) -> dict[str, str]:
        """Return the names of a label by kind: ``title``, ``zh``, ``en``; kinds without a name are left out."""
        own = self._ours.get(code, {})
        names = {"title": self._titles.get(code, ""), **{language: own.get(language, "") for language in LANGUAGES}}
        return {kind: name for kind, name in names.items() if name}

    def of(self, code: str) -> str:
        """Return the title of a label, or else its built-in Chinese name; empty if it has neither."""
        names = self.all_of(code)
        return names.get("title") or names.get("zh", "")

    def nearest(self, codes: Sequence[str]) -> str:
        """Return the name of the last code that has one, such as the deepest on a path; empty if none has."""
        return next((name for code in reversed(codes) if (name := self.of(code))), "")


def is_ipc(tree: LabelTree) -> bool:
    """Return whether a tree is an IPC tree, judging by its levels and sections."""
    return tree.levels == IPC_LEVELS[: len(tree.levels)] and set(tree.labels(tree.levels[0])) <= set(SECTIONS)


@functools.cache
def _names() -> dict[str, dict[str, str]]:
    text = (resources.files("patent_hier.resources") / "ipc_names.csv").read_text("utf-8")
    return {row["code"]: row for row in csv.DictReader(text.splitlines())}
