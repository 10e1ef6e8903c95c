"""Known column names of raw files from CNIPA, incoPat, PatSnap, Himmpat, Derwent, Lens and others.

``resources/headers.json`` lists them by our field name in order of preference: a column of main symbols before one of
all symbols, a Chinese text before a translation.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

from patent_hier.sanitize import nfkc


class Match(NamedTuple):
    """A column of a header.

    Attributes:
        position: Position of the column.
        is_known: Whether the column was found by a known header instead of the requested name.
        others: Names of other columns that also match.
    """

    position: int
    is_known: bool = False
    others: tuple[str, ...] = ()


def fold_name(name: str) -> str:
    """Return a column name for the first comparison: in NFKC, without white space."""
    return "".join(nfkc(name).split())


def fold_loosely(name: str) -> str:
    """Return a column name for the second comparison: letters and digits without case; 摘要 (中文) is 摘要中文."""
    return "".join(letter for letter in nfkc(name).casefold() if letter.isalnum())


@functools.cache
def known_headers() -> Mapping[str, tuple[str, ...]]:
    """Return the known headers by our field name, in the form of :func:`fold_loosely`, the preferred one first."""
    content = json.loads((resources.files("patent_hier.resources") / "headers.json").read_text("utf-8"))
    return {ours: tuple(dict.fromkeys(map(fold_loosely, names))) for ours, names in content.items()}


def field_of(name: str) -> str | None:
    """Return our field name for a known header, also ``claims`` or ``first_claim``; None if the header is unknown."""
    folded = fold_loosely(name)
    return next(
        (ours for ours, names in known_headers().items() if folded in names or folded == fold_loosely(ours)), None
    )


def find_named(names: Sequence[str], name: str) -> list[int]:
    """Return the positions of a name in a header; if there is none, case and punctuation are ignored."""
    for fold in (fold_name, fold_loosely):
        if places := [place for place, own in enumerate(names) if fold(own) == fold(name)]:
            return places
    return []


def find_known(names: Sequence[str], ours: str) -> Match | None:
    """Return the column of a header that is known to hold one of our fields; None if there is none."""
    folded = [fold_loosely(name) for name in names]
    places = [folded.index(known) for known in known_headers().get(ours, ()) if known in folded]
    if not places:
        return None
    return Match(places[0], True, tuple(names[place] for place in places[1:]))
