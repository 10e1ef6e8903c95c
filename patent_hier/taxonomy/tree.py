"""The label tree of any scheme, down to any level, stored as arrays.

Labels are ordered level by level, and within a level by their parents. So siblings are neighbours, and the children of
any label form one slice. Code outside this package never splits a label's text to find its parent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.sanitize import reason
from patent_hier.taxonomy.paths import NONE as NONE
from patent_hier.taxonomy.paths import labels_on
from patent_hier.taxonomy.table import read_scheme

ROOT = "root"

Positions = NDArray[np.int32]
_NAME = re.compile(r"\w[\w ./+:()&,'#-]*(?<! )")


@dataclass(frozen=True, eq=False)
class LabelTree:
    """The labels of a scheme, or of part of a scheme, down to a certain level.

    A symbol that ends above the deepest level has a leaf there that repeats its code: ``A01B1/00`` at the level
    ``subgroup`` means "no subgroup of the main group A01B1/00". So a code is unique only within a level.

    Attributes:
        levels: Names of the levels from the top, without the root.
        codes: ``(n,)`` strings, level by level; siblings are neighbours, in the order of their parents.
        parents: ``(n,)`` position of each label's parent; :data:`NONE` at the first level.
        root: Name of the root: ``root``, or the label whose part of the scheme this tree holds.
        titles: Known titles by code.
        edition: Edition of the scheme; None if unknown.

    Raises:
        DataError: If the arrays do not form a tree, or a name has characters other than letters, digits, blanks and
            some punctuation, which a terminal, a spreadsheet or a web page could misinterpret.
    """

    levels: tuple[str, ...]
    codes: NDArray[np.object_]
    parents: Positions
    root: str = ROOT
    titles: Mapping[str, str] = field(default_factory=dict)
    edition: str | None = None

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise DataError(f"the label tree below {self.root} is broken: {problem}")

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def bounds(self) -> NDArray[np.intp]:
        """Start of each level and end of the last, ``(n_levels + 1,)``."""
        starts = [0]
        while starts[-1] < len(self) and len(starts) <= len(self.levels):
            first = starts[-2] if len(starts) > 1 else NONE
            last = starts[-1] if len(starts) > 1 else 0
            below = (self.parents >= first) & (self.parents < last) if first >= 0 else self.parents == NONE
            starts.append(starts[-1] + int(np.count_nonzero(below)))
        return np.array(starts, np.intp)

    @cached_property
    def child_bounds(self) -> NDArray[np.intp]:
        """Bounds of each label's children, ``(n + 2,)``.

        The children of label ``i`` are ``child_bounds[i + 1]`` to ``child_bounds[i + 2]``; the children of the root are
        ``child_bounds[0]`` to ``child_bounds[1]``.
        """
        counts = np.bincount(self.parents.astype(np.intp) + 1, minlength=len(self) + 1)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    @cached_property
    def _places(self) -> tuple[dict[str, int], ...]:
        return tuple(
            {code: i for i, code in enumerate(self.codes[own], own.start)} for own in map(self.span, self.levels)
        )

    def span(self, level: str) -> slice:
        """Return the positions of a level's labels.

        Raises:
            ConfigError: If there is no such level.
        """
        if level not in self.levels:
            raise ConfigError(f"level {level} is unknown; this tree has {', '.join(self.levels)}")
        place = self.levels.index(level)
        return slice(int(self.bounds[place]), int(self.bounds[place + 1]))

    def names(self, positions: NDArray[np.integer[Any]]) -> NDArray[np.object_]:
        """Return the codes at the given positions, in the same shape; None for :data:`NONE`."""
        names = self.codes[positions]
        names[positions == NONE] = None
        return names  # type: ignore[no-any-return]  # fancy indexing

    def labels(self, level: str) -> tuple[str, ...]:
        """Return the codes of a level, in order."""
        return tuple(self.codes[self.span(level)])

    @property
    def depth(self) -> str:
        """Name of the deepest level."""
        return self.levels[-1]

    @property
    def leaves(self) -> slice:
        """Positions of the deepest level's labels."""
        return self.span(self.depth)

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """Positions of all labels without children: the leaves, and symbols that end above the deepest level."""
        return np.flatnonzero(np.diff(self.child_bounds)[1:] == 0)

    def find(self, level: str, codes: Iterable[str | None]) -> Positions:
        """Return the positions of codes at a level; :data:`NONE` for None and for unknown codes."""
        self.span(level)
        places = self._places[self.levels.index(level)]
        return np.array([NONE if code is None else places.get(code, NONE) for code in codes], np.int32)

    def children(self, position: int) -> slice:
        """Return the positions of a label's children; :data:`NONE` gives those of the root."""
        return slice(int(self.child_bounds[position + 1]), int(self.child_bounds[position + 2]))

    def heads(self) -> Iterator[tuple[int, slice]]:
        """Yield each parent that has two or more children to decide between; the root is :data:`NONE`."""
        for head in np.flatnonzero(np.diff(self.child_bounds) > 1).tolist():
            yield head - 1, self.children(head - 1)

    def level_of(self, position: int) -> str:
        """Return the level of a label."""
        return self.levels[int(np.searchsorted(self.bounds, position, side="right")) - 1]

    def ancestors(self, level: str) -> Positions:
        """Return the position of every label's ancestor at a level, ``(n,)``.

        Labels of the level itself have their own position, labels above it :data:`NONE`.
        """
        own = self.span(level)
        result = np.full(len(self), NONE, np.int32)
        result[own] = np.arange(own.start, own.stop)
        for deeper in self.levels[self.levels.index(level) + 1 :]:
            below = self.span(deeper)
            result[below] = result[self.parents[below]]
        return result

    def paths(self, positions: Positions) -> Positions:
        """Return the paths to the given labels, ``(n, n_levels)``: ancestors, the label, then :data:`NONE`."""
        columns = [np.where(positions == NONE, NONE, self.ancestors(level)[positions]) for level in self.levels]
        return np.stack(columns, axis=1).astype(np.int32)

    def _code_paths(self) -> list[list[Any]]:
        """Return the codes on the path to every label; None below the label."""
        paths: list[list[Any]] = self.names(self.paths(np.arange(len(self), dtype=np.int32))).tolist()
        return paths

    def restrict(self, kept: NDArray[np.bool_]) -> tuple["LabelTree", Positions]:
        """Keep only the chosen labels; a label is kept only if all its ancestors are.

        Args:
            kept: Mask of the labels to keep, ``(n,)``.

        Returns:
            The smaller tree, and the new position of every label, ``(n,)``; :data:`NONE` for removed labels.
        """
        kept = kept.copy()
        for level in self.levels[1:]:
            below = self.span(level)
            kept[below] &= kept[self.parents[below]]
        new = np.where(kept, np.cumsum(kept) - 1, NONE).astype(np.int32)
        parents = self.parents[kept]
        moved = np.where(parents == NONE, NONE, new[parents]).astype(np.int32)
        n_levels = max((i + 1 for i in range(len(self.levels)) if kept[self.span(self.levels[i])].any()), default=0)
        return replace(self, levels=self.levels[:n_levels], codes=self.codes[kept], parents=moved), new

    def to_depth(self, depth: str) -> "LabelTree":
        """Return the tree without the levels below ``depth``."""
        end = self.span(depth).stop
        levels = self.levels[: self.levels.index(depth) + 1]
        return replace(self, levels=levels, codes=self.codes[:end], parents=self.parents[:end])

    def under(self, level: str, code: str) -> tuple["LabelTree", Positions]:
        """Return the part of the tree below one label, which becomes the root.

        Returns:
            The smaller tree, and the new position of every label, ``(n,)``; :data:`NONE` for labels outside it.

        Raises:
            ConfigError: If there is no such label, or it has no labels below it.
        """
        (position,) = self.find(level, [code]).tolist()
        if position == NONE:
            raise ConfigError(f"the label tree has no {level} {code}")
        inside = self.ancestors(level) == position
        inside[position] = False
        if not inside.any():
            raise ConfigError(f"there are no labels below {code}")
        new = np.where(inside, np.cumsum(inside) - 1, NONE).astype(np.int32)
        parents = self.parents[inside]
        moved = np.where(parents == position, NONE, new[parents]).astype(np.int32)
        levels = self.levels[self.levels.index(level) + 1 :]
        deepest = max(i for i, name in enumerate(levels) if inside[self.span(name)].any())
        part = replace(self, levels=levels[: deepest + 1], codes=self.codes[inside], parents=moved, root=code)
        return part, new

    def graft(self, parts: Mapping[str, "LabelTree"]) -> "LabelTree":
        """Return this tree with ``parts`` attached below its leaves.

        Args:
            parts: By code of a leaf, the tree whose root is that leaf.
        """
        deeper = max((part.levels for part in parts.values()), key=len, default=())
        rows = []
        for above in self._code_paths()[self.leaves]:
            rows.append(above)
            if part := parts.get(above[-1]):
                rows += [above + below for below in part._code_paths()]
        titles = {code: title for part in (*parts.values(), self) for code, title in part.titles.items()}
        return LabelTree.from_paths(rows, self.levels + deeper, root=self.root, titles=titles, edition=self.edition)

    def locate(self, codes: Iterable[str | None]) -> Positions:
        """Return the positions of codes, ``(n,)``, each at the deepest level that has it; :data:`NONE` if unknown.

        So a label that is repeated as a leaf below itself is found as that leaf, and :meth:`paths` gives its whole
        path.
        """
        deepest = {code: place for places in self._places for code, place in places.items()}
        return np.array([NONE if code is None else deepest.get(code, NONE) for code in codes], np.int32)

    def with_titles(self, other: "LabelTree") -> "LabelTree":
        """Return the same labels, with missing titles and a missing edition taken from another tree of the scheme."""
        titles = {code: other.titles[code] for code in self.codes.tolist() if code in other.titles}
        return replace(self, titles=titles | dict(self.titles), edition=self.edition or other.edition)

    @classmethod
    def union(cls, trees: Sequence["LabelTree"]) -> "LabelTree":
        """Join trees of one scheme; the first title of each code and the first known edition are used.

        Raises:
            DataError: If the levels or the roots differ, or a code has two parents.
        """
        longest = max((tree.levels for tree in trees), key=len)
        if any(longest[: len(tree.levels)] != tree.levels or tree.root != trees[0].root for tree in trees):
            shown = "; ".join(f"{tree.root}: {', '.join(tree.levels)}" for tree in trees)
            raise DataError(f"trees of different schemes cannot be joined ({shown}); use trees of one scheme")
        paths = [path for tree in trees for path in tree._code_paths()]
        titles = {code: title for tree in reversed(trees) for code, title in tree.titles.items()}
        edition = next((tree.edition for tree in trees if tree.edition), None)
        return cls.from_paths(paths, longest, root=trees[0].root, titles=titles, edition=edition)

    @classmethod
    def from_table(cls, path: str | Path, edition: str | None = None) -> "LabelTree":
        """Read a table of any scheme; see :func:`patent_hier.taxonomy.table.read_scheme`."""
        paths, levels, titles, edition = read_scheme(Path(path), edition)
        return cls.from_paths(paths, levels, titles=titles, edition=edition)

    @classmethod
    def from_paths(
        cls,
        paths: Iterable[Sequence[str | None]],
        levels: Sequence[str],
        *,
        root: str = ROOT,
        titles: Mapping[str, str] | None = None,
        edition: str | None = None,
    ) -> Self:
        """Build the tree of all labels on the given paths; siblings are in the order of the scheme.

        Args:
            paths: Path of each document or label: one code for each level from the top. A path may end early, or
                continue with None.
            levels: Names of the levels.
            root: Name of the root.
            titles: Titles by code.
            edition: Edition of the scheme.

        Raises:
            DataError: If there is no label, a code has two parents, or a path has a gap or more codes than levels.
        """
        codes, parents, n_levels = labels_on(paths, levels, root)
        return cls(
            tuple(levels[:n_levels]), np.array(codes, object), np.array(parents, np.int32), root, titles or {}, edition
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the tree as JSON-serialisable values, without titles."""
        return {
            "levels": list(self.levels),
            "codes": [str(code) for code in self.codes],  # neither JSON nor a safe checkpoint accepts numpy strings
            "parents": self.parents.tolist(),
            "root": self.root,
            "edition": self.edition,
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Rebuild the tree from the output of :meth:`as_dict`.

        Raises:
            ArtifactError: If the content is not a label tree.
        """
        try:
            levels, codes = tuple(map(str, content["levels"])), content["codes"]
            if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
                raise TypeError("codes are not a list of strings")
            parents = np.array(content["parents"], np.int32)
            if parents.ndim != 1:
                raise TypeError("parents are not a list of numbers")
            edition = content.get("edition")
            named = None if edition is None else str(edition)
            return cls(levels, np.array(codes, object), parents, str(content["root"]), {}, named)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError, DataError) as error:
            raise ArtifactError(f"this is not a label tree ({reason(error)}); train the model again") from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LabelTree)
            and (self.levels, self.root) == (other.levels, other.root)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.parents, other.parents)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays cannot be hashed

    def _problem(self) -> str | None:
        if not len(self) or len(self) != len(self.parents) or not self.levels:
            return f"{len(self.codes)} labels and {len(self.parents)} parents on {len(self.levels)} levels"
        if self.parents[0] != NONE or (self.parents < NONE).any() or (self.parents >= np.arange(len(self))).any():
            return "a parent is not above its child"
        if len(set(self.levels)) < len(self.levels):
            return f"a level name occurs twice in {', '.join(self.levels)}"
        if (np.diff(self.parents) < 0).any():
            return "siblings are not neighbours in the order of their parents"
        if len(self.bounds) != len(self.levels) + 1 or self.bounds[-1] != len(self):
            return f"the labels do not fill {len(self.levels)} levels"
        if any(
            len(places) != own.stop - own.start
            for places, own in zip(self._places, map(self.span, self.levels), strict=True)
        ):
            return "a code occurs twice at the same level"
        odd = next((name for name in (*self.levels, self.root, *self.codes) if not _NAME.fullmatch(name)), None)
        return None if odd is None else f"the name {odd!r:.40} of a label or level has characters that are not allowed"
