"""What the columns of a raw file are called: known headers of CNIPA, incoPat, PatSnap, Himmpat, Derwent, Lens, others.

``resources/headers.json`` has them by our field name, the one to prefer first: of symbols a column of main symbols goes
before one of all symbols, of texts Chinese before a translation.
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
        position: Where it stands.
        is_known: Whether it is another known header than the one that was asked for.
        others: Further columns that could have been meant, by their names.
    """

    position: int
    is_known: bool = False
    others: tuple[str, ...] = ()


def fold_name(name: str) -> str:
    """A column's name as names are compared first: under NFKC, without white space."""
    return "".join(nfkc(name).split())


def fold_loosely(name: str) -> str:
    """The same as names are compared next: letters and digits only, without case; 摘要 (中文) is 摘要中文."""
    return "".join(letter for letter in nfkc(name).casefold() if letter.isalnum())


@functools.cache
def known_headers() -> Mapping[str, tuple[str, ...]]:
    """Known headers by our field name, each as :func:`fold_loosely` gives it, the preferred first."""
    content = json.loads((resources.files("patent_hier.resources") / "headers.json").read_text("utf-8"))
    return {ours: tuple(dict.fromkeys(map(fold_loosely, names))) for ours, names in content.items()}


def field_of(name: str) -> str | None:
    """Our field that a known header stands for, among them ``claims`` and ``first_claim``; None if it is unknown."""
    folded = fold_loosely(name)
    return next(
        (ours for ours, names in known_headers().items() if folded in names or folded == fold_loosely(ours)), None
    )


def find_named(names: Sequence[str], name: str) -> list[int]:
    """Where a header has a name: exactly, or else with another case, other brackets, dashes or dots."""
    for fold in (fold_name, fold_loosely):
        if places := [place for place, own in enumerate(names) if fold(own) == fold(name)]:
            return places
    return []


def find_known(names: Sequence[str], ours: str) -> Match | None:
    """The column of a header that is known as one of our fields."""
    folded = [fold_loosely(name) for name in names]
    places = [folded.index(known) for known in known_headers().get(ours, ()) if known in folded]
    if not places:
        return None
    return Match(places[0], True, tuple(names[place] for place in places[1:]))
