"""Labels of a tree by the spellings that people write: ``a01b``, ``A01B 1/00``, ``A01B0001000000``.

Where labels of two levels have one code, the upper one is meant, or that of the level that stands before it:
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
_NEAR = 3  # known labels that are named beside an unknown one


class LabelLookup:
    """Finds labels whatever their case, blanks and width, and the IPC's symbols in any spelling.

    Args:
        tree: The labels.
    """

    def __init__(self, tree: LabelTree) -> None:
        self._tree = tree
        self._places: dict[str, int] = {}
        for place, code in enumerate(tree.codes.tolist()):
            self._places.setdefault(_key(code), place)
        self._sorted = sorted(self._places)

    def find(self, spelling: str) -> int:
        """The position of a label.

        Raises:
            UnknownLabelError: Naming the nearest known labels.
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
        """The positions of several labels, each once; a spelling may name several, with commas between them.

        Raises:
            UnknownLabelError: As in :meth:`find`.
        """
        found: dict[int, None] = {}
        for spelling in spellings:
            whole = _key(spelling) in self._places  # a code of some schemes has commas itself
            for part in [spelling] if whole else _BETWEEN.split(spelling):
                found[self.find(part)] = None
        return list(found)

    def _near(self, key: str) -> list[str]:
        """The known labels that begin most like a key; the first ones of the scheme where none does."""
        place = bisect.bisect_left(self._sorted, key)
        around = self._sorted[max(0, place - _NEAR) : place + _NEAR]
        shared = {one: sum(1 for _ in takewhile(bool, map(eq, key, one))) for one in around}
        if not key or not any(shared.values()):
            return [str(code) for code in self._tree.labels(self._tree.levels[0])[: 3 * _NEAR]]
        best = sorted(around, key=lambda one: -shared[one])[:_NEAR]
        return [str(self._tree.codes[self._places[one]]) for one in sorted(best)]


def _key(spelling: str) -> str:
    return _BLANKS.sub("", spelling.translate(_FULL_WIDTH)).upper()
