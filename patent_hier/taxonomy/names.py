"""Names of labels: titles of the user's table, and our own short names of IPC sections and classes."""

import csv
import functools
from collections.abc import Sequence
from importlib import resources

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy.symbols import IPC_LEVELS, SECTIONS
from patent_hier.taxonomy.tree import LabelTree

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


class LabelNames:
    """What labels are called: by the titles of their tree and, in the IPC, by our short names of sections and classes.

    Args:
        tree: The labels, with the titles that are known.
    """

    def __init__(self, tree: LabelTree) -> None:
        self._titles = tree.titles
        self._ours = _names() if is_ipc(tree) else {}

    def all_of(self, code: str) -> dict[str, str]:
        """All names of a label, by kind: ``title``, ``zh``, ``en``; without those that it does not have."""
        own = self._ours.get(code, {})
        names = {"title": self._titles.get(code, ""), **{language: own.get(language, "") for language in LANGUAGES}}
        return {kind: name for kind, name in names.items() if name}

    def of(self, code: str) -> str:
        """The title of a label, or else our Chinese name of it; empty for none."""
        names = self.all_of(code)
        return names.get("title") or names.get("zh", "")

    def nearest(self, codes: Sequence[str]) -> str:
        """The name of the last of some codes that has one, such as the labels on a path from the top; or empty."""
        return next((name for code in reversed(codes) if (name := self.of(code))), "")


def is_ipc(tree: LabelTree) -> bool:
    """Whether a tree is of the IPC, by its levels and sections."""
    return tree.levels == IPC_LEVELS[: len(tree.levels)] and set(tree.labels(tree.levels[0])) <= set(SECTIONS)


@functools.cache
def _names() -> dict[str, dict[str, str]]:
    text = (resources.files("patent_hier.resources") / "ipc_names.csv").read_text("utf-8")
    return {row["code"]: row for row in csv.DictReader(text.splitlines())}
