"""The labels on a set of paths, in the order of a label tree: level by level, with siblings together."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from patent_hier.errors import DataError

NONE = -1  # position of a label that is unknown or not in the tree
_GROUP = re.compile(r"([A-Z][0-9]{2}[A-Z]) ?([0-9]{1,4})/([0-9]+)", re.ASCII)


def labels_on(
    paths: Iterable[Sequence[str | None]], levels: Sequence[str], root: str
) -> tuple[list[str], list[int], int]:
    """Return all labels on the given paths.

    Args:
        paths: Paths, as for :meth:`patent_hier.taxonomy.tree.LabelTree.from_paths`.
        levels: Names of the levels.
        root: Name of the root, for messages.

    Returns:
        The codes, the position of each code's parent (:data:`NONE` at the first level), and the number of levels used.

    Raises:
        DataError: If there is no label, a code has two parents, or a path has a gap or more codes than levels.
    """
    parent_of: list[dict[str, str | None]] = [{} for _ in levels]
    distinct: dict[tuple[Any, ...], None] = dict.fromkeys(map(tuple, paths))
    for path in distinct:
        depth = path.index(None) if None in path else len(path)
        if depth > len(levels) or any(path[depth:]):
            raise DataError(f"path {path} has a gap or too many codes; it must fit the levels {', '.join(levels)}")
        above: str | None = None
        for known, code in zip(parent_of, path[:depth], strict=False):
            if known.setdefault(code, above) != above:
                raise DataError(f"label {code} has two parents: {known[code]} and {above}; give it one parent")
            above = code
    if not parent_of or not parent_of[0]:
        raise DataError(f"there is no label below {root}; use documents or a table with labels")
    codes: list[str] = []
    parents: list[int] = []
    places: dict[str | None, int] = {None: NONE}
    for known in parent_of:
        ordered = sorted(known, key=lambda code: (places[known[code]], _scheme_order(code)))
        parents += [places[known[code]] for code in ordered]
        places = {code: place for place, code in enumerate(ordered, len(codes))}
        codes += ordered
    return codes, parents, sum(bool(known) for known in parent_of)


def _scheme_order(code: str) -> str:
    """Return a key that sorts codes as the IPC and the CPC do: main groups by number, subgroups by decimals."""
    match = _GROUP.fullmatch(code)
    return code if match is None else f"{match[1]}{int(match[2]):04}/{match[3]}"
