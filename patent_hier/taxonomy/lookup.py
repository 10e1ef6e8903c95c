"""Lookup of labels by any spelling that people use: ``a01b``, ``A01B 1/00``, ``A01B0001000000``.

If labels at two levels have the same code, the lookup returns the upper one. A prefix selects the level:
``subgroup:A01B1/00``.
"""

import bisect
import re
from collections.abc import Iterable
from itertools import takewhile
from operator import eq

from patent_hier.errors import UnknownLabelError
from patent_hier.taxonomy.symbols import IpcSymbol, SymbolError
from patent_hier.taxonomy.tree import NONE, LabelTree

_BLANKS = re.compile(r"[\s\u200b\u2060\ufeff]+")
_BETWEEN = re.compile("[,，、;；]")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_NEAR = 3  # known labels that the message about an unknown label suggests


class LabelLookup:
    """A lookup that ignores case, blanks and full-width forms, and accepts IPC symbols in any spelling.

    Args:
        tree: Label tree to search.
    """

    def __init__(self, tree: LabelTree) -> None:
        self._tree = tree
        self._places: dict[str, int] = {}
        for place, code in enumerate(tree.codes.tolist()):
            self._places.setdefault(_key(code), place)
        self._sorted = sorted(self._places)

    def find(self, spelling: str) -> int:
        """Return the position of a label.

        Raises:
            UnknownLabelError: If there is no such label; the message names the nearest known labels.
        """
        level, colon, rest = spelling.partition(":")
        if colon and level.strip() in self._tree.levels:
            (place,) = self._tree.find(level.strip(), [self._tree.codes[self.find(rest)]]).tolist()
            if place == NONE:
                raise UnknownLabelError(spelling, self._near(_key(rest)))
            return int(place)
        key = _key(spelling)
        known = self._places.get(key)
        if known is None:
            try:
                known = self._places.get(_key(str(IpcSymbol.parse(spelling))))
            except SymbolError:
                known = None
        if known is None:
            raise UnknownLabelError(spelling, self._near(key))
        return known

    def find_all(self, spellings: Iterable[str]) -> list[int]:
        """Return the positions of several labels, without repetition; one spelling may list several, with commas.

        Raises:
            UnknownLabelError: See :meth:`find`.
        """
        found: dict[int, None] = {}
        for spelling in spellings:
            whole = _key(spelling) in self._places  # in some schemes, a code itself contains commas
            for part in [spelling] if whole else _BETWEEN.split(spelling):
                found[self.find(part)] = None
        return list(found)

    def _near(self, key: str) -> list[str]:
        """Return the known labels that share the longest beginning with a key, or else the first labels of the tree."""
        place = bisect.bisect_left(self._sorted, key)
        around = self._sorted[max(0, place - _NEAR) : place + _NEAR]
        shared = {one: sum(1 for _ in takewhile(bool, map(eq, key, one))) for one in around}
        if not key or not any(shared.values()):
            return [str(code) for code in self._tree.labels(self._tree.levels[0])[: 3 * _NEAR]]
        best = sorted(around, key=lambda one: -shared[one])[:_NEAR]
        return [str(self._tree.codes[self._places[one]]) for one in sorted(best)]


def _key(spelling: str) -> str:
    return _BLANKS.sub("", spelling.translate(_FULL_WIDTH)).upper()
