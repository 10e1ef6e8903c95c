"""One tree of labels, whatever the scheme and the depth: who is whose parent, as arrays.

Labels stand level by level. Within a level they stand in the order of their parents, so siblings are neighbours and the
children of any label are one slice. Nothing outside this package takes a label's text apart to find its parent.
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
    """The labels of a scheme, or of a part of it, down to some level.

    A symbol that ends above the deepest level has a leaf there that repeats its code: ``A01B1/00`` at the level
    ``subgroup`` means "no subgroup of the main group A01B1/00". So a code is unique within a level only.

    Attributes:
        levels: Names of the levels from the top, without the root.
        codes: ``(n,)`` strings, level by level; siblings are neighbours, in the order of their parents.
        parents: ``(n,)`` position of each label's parent; :data:`NONE` at the first level.
        root: What stands above the first level: ``root``, or the label whose part of the scheme this is.
        titles: Titles by code, as far as they are known.
        edition: Edition of the scheme; None if unknown.

    Raises:
        DataError: If the arrays are not such a tree, or a name is more than letters, digits, blanks and some signs, so
            that a terminal, a spreadsheet or a page might take it for something else.
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
        """Where each level begins, and the last one ends, ``(n_levels + 1,)``."""
        starts = [0]
        while starts[-1] < len(self) and len(starts) <= len(self.levels):
            first = starts[-2] if len(starts) > 1 else NONE
            last = starts[-1] if len(starts) > 1 else 0
            below = (self.parents >= first) & (self.parents < last) if first >= 0 else self.parents == NONE
            starts.append(starts[-1] + int(np.count_nonzero(below)))
        return np.array(starts, np.intp)

    @cached_property
    def child_bounds(self) -> NDArray[np.intp]:
        """Compressed rows: the children of label ``i`` are ``child_bounds[i + 1]`` to ``child_bounds[i + 2]``.

        Those of the root are the first row, ``child_bounds[0]`` to ``child_bounds[1]``; ``(n + 2,)`` in all.
        """
        counts = np.bincount(self.parents.astype(np.intp) + 1, minlength=len(self) + 1)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    @cached_property
    def _places(self) -> tuple[dict[str, int], ...]:
        return tuple(
            {code: i for i, code in enumerate(self.codes[own], own.start)} for own in map(self.span, self.levels)
        )

    def span(self, level: str) -> slice:
        """The positions of a level's labels.

        Raises:
            ConfigError: If there is no such level.
        """
        if level not in self.levels:
            raise ConfigError(f"level {level} is unknown; this tree has {', '.join(self.levels)}")
        place = self.levels.index(level)
        return slice(int(self.bounds[place]), int(self.bounds[place + 1]))

    def names(self, positions: NDArray[np.integer[Any]]) -> NDArray[np.object_]:
        """The codes at some positions, of the same shape; None for :data:`NONE`."""
        names = self.codes[positions]
        names[positions == NONE] = None
        return names  # type: ignore[no-any-return]  # fancy indexing

    def labels(self, level: str) -> tuple[str, ...]:
        """The codes of a level, in order."""
        return tuple(self.codes[self.span(level)])

    @property
    def depth(self) -> str:
        """The name of the deepest level."""
        return self.levels[-1]

    @property
    def leaves(self) -> slice:
        """The positions of the deepest level's labels."""
        return self.span(self.depth)

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """The positions of all labels without others below them: the leaves, and symbols that end above."""
        return np.flatnonzero(np.diff(self.child_bounds)[1:] == 0)

    def find(self, level: str, codes: Iterable[str | None]) -> Positions:
        """The positions of some codes of a level; :data:`NONE` for None and for what is not there."""
        self.span(level)
        places = self._places[self.levels.index(level)]
        return np.array([NONE if code is None else places.get(code, NONE) for code in codes], np.int32)

    def children(self, position: int) -> slice:
        """The children of a label; of the root for :data:`NONE`."""
        return slice(int(self.child_bounds[position + 1]), int(self.child_bounds[position + 2]))

    def heads(self) -> Iterator[tuple[int, slice]]:
        """Every parent with two children or more, the root as :data:`NONE`: where there is something to decide."""
        for head in np.flatnonzero(np.diff(self.child_bounds) > 1).tolist():
            yield head - 1, self.children(head - 1)

    def level_of(self, position: int) -> str:
        """The level of a label."""
        return self.levels[int(np.searchsorted(self.bounds, position, side="right")) - 1]

    def ancestors(self, level: str) -> Positions:
        """The position of every label's ancestor at a level, ``(n,)``: its own there, :data:`NONE` above it."""
        own = self.span(level)
        result = np.full(len(self), NONE, np.int32)
        result[own] = np.arange(own.start, own.stop)
        for deeper in self.levels[self.levels.index(level) + 1 :]:
            below = self.span(deeper)
            result[below] = result[self.parents[below]]
        return result

    def paths(self, positions: Positions) -> Positions:
        """The paths to some labels, ``(n, n_levels)``: their ancestors and themselves; :data:`NONE` below them."""
        columns = [np.where(positions == NONE, NONE, self.ancestors(level)[positions]) for level in self.levels]
        return np.stack(columns, axis=1).astype(np.int32)

    def _code_paths(self) -> list[list[Any]]:
        """The codes on the way to every label; None below it."""
        paths: list[list[Any]] = self.names(self.paths(np.arange(len(self), dtype=np.int32))).tolist()
        return paths

    def restrict(self, kept: NDArray[np.bool_]) -> tuple["LabelTree", Positions]:
        """Only some labels; a label is kept only with all its ancestors.

        Args:
            kept: ``(n,)``.

        Returns:
            The smaller tree, and the new position of every label, ``(n,)``; :data:`NONE` for those that are gone.
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
        """The same without the levels below ``depth``."""
        end = self.span(depth).stop
        levels = self.levels[: self.levels.index(depth) + 1]
        return replace(self, levels=levels, codes=self.codes[:end], parents=self.parents[:end])

    def under(self, level: str, code: str) -> tuple["LabelTree", Positions]:
        """The part below one label, which becomes its root.

        Returns:
            The smaller tree, and the new position of every label, ``(n,)``; :data:`NONE` for those outside.

        Raises:
            ConfigError: If there is no such label, or nothing below it.
        """
        (position,) = self.find(level, [code]).tolist()
        if position == NONE:
            raise ConfigError(f"there is no {level} {code}")
        inside = self.ancestors(level) == position
        inside[position] = False
        if not inside.any():
            raise ConfigError(f"there is nothing below {code}")
        new = np.where(inside, np.cumsum(inside) - 1, NONE).astype(np.int32)
        parents = self.parents[inside]
        moved = np.where(parents == position, NONE, new[parents]).astype(np.int32)
        levels = self.levels[self.levels.index(level) + 1 :]
        deepest = max(i for i, name in enumerate(levels) if inside[self.span(name)].any())
        part = replace(self, levels=levels[: deepest + 1], codes=self.codes[inside], parents=moved, root=code)
        return part, new

    def graft(self, parts: Mapping[str, "LabelTree"]) -> "LabelTree":
        """This tree with the labels of ``parts`` below its leaves: by leaf code, a tree whose root is that leaf."""
        deeper = max((part.levels for part in parts.values()), key=len, default=())
        rows = []
        for above in self._code_paths()[self.leaves]:
            rows.append(above)
            if part := parts.get(above[-1]):
                rows += [above + below for below in part._code_paths()]
        titles = {code: title for part in (*parts.values(), self) for code, title in part.titles.items()}
        return LabelTree.from_paths(rows, self.levels + deeper, root=self.root, titles=titles, edition=self.edition)

    def locate(self, codes: Iterable[str | None]) -> Positions:
        """Where some codes stand, ``(n,)``: at the deepest level that has them; :data:`NONE` for what is not there.

        So a label with a leaf of its own code below it is found as that leaf, and :meth:`paths` gives its whole path.
        """
        deepest = {code: place for places in self._places for code, place in places.items()}
        return np.array([NONE if code is None else deepest.get(code, NONE) for code in codes], np.int32)

    def with_titles(self, other: "LabelTree") -> "LabelTree":
        """The same labels with the titles and the edition of another tree of the scheme, where this has none."""
        titles = {code: other.titles[code] for code in self.codes.tolist() if code in other.titles}
        return replace(self, titles=titles | dict(self.titles), edition=self.edition or other.edition)

    @classmethod
    def union(cls, trees: Sequence["LabelTree"]) -> "LabelTree":
        """The tree of all labels of some trees of one scheme; the first title of each code and the first edition count.

        Raises:
            DataError: If their levels or their roots differ, or a code has two parents.
        """
        longest = max((tree.levels for tree in trees), key=len)
        if any(longest[: len(tree.levels)] != tree.levels or tree.root != trees[0].root for tree in trees):
            shown = "; ".join(f"{tree.root}: {', '.join(tree.levels)}" for tree in trees)
            raise DataError(f"trees of different schemes cannot be joined ({shown}); take those of one scheme")
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
        """The tree of all labels on some paths, siblings in the order of the scheme: main groups by number.

        Args:
            paths: One for each document or place: a code for each level from the top. A path ends where it is shorter
                than ``levels``, or None.
            levels: Names of the levels.
            root: What stands above the first level.
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
        """The tree as JSON-able values, without titles."""
        return {
            "levels": list(self.levels),
            "codes": [str(code) for code in self.codes],  # numpy's strings are none of JSON, nor of a safe checkpoint
            "parents": self.parents.tolist(),
            "root": self.root,
            "edition": self.edition,
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """The tree of :meth:`as_dict`.

        Raises:
            ArtifactError: If it is something else.
        """
        try:
            levels, codes = tuple(map(str, content["levels"])), content["codes"]
            if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
                raise TypeError("codes are no list of strings")
            parents = np.array(content["parents"], np.int32)
            if parents.ndim != 1:
                raise TypeError("parents are no list of numbers")
            edition = content.get("edition")
            named = None if edition is None else str(edition)
            return cls(levels, np.array(codes, object), parents, str(content["root"]), {}, named)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError, DataError) as error:
            raise ArtifactError(f"this is no label tree ({reason(error)}); train the model again") from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LabelTree)
            and (self.levels, self.root) == (other.levels, other.root)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.parents, other.parents)
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def _problem(self) -> str | None:
        if not len(self) or len(self) != len(self.parents) or not self.levels:
            return f"{len(self.codes)} labels and {len(self.parents)} parents on {len(self.levels)} levels"
        if self.parents[0] != NONE or (self.parents < NONE).any() or (self.parents >= np.arange(len(self))).any():
            return "a parent does not stand above its child"
        if len(set(self.levels)) < len(self.levels):
            return f"a level occurs twice in {', '.join(self.levels)}"
        if (np.diff(self.parents) < 0).any():
            return "siblings are not neighbours in the order of their parents"
        if len(self.bounds) != len(self.levels) + 1 or self.bounds[-1] != len(self):
            return f"its labels do not fill {len(self.levels)} levels"
        if any(
            len(places) != own.stop - own.start
            for places, own in zip(self._places, map(self.span, self.levels), strict=True)
        ):
            return "a code occurs twice in a level"
        odd = next((name for name in (*self.levels, self.root, *self.codes) if not _NAME.fullmatch(name)), None)
        return None if odd is None else f"label or level {odd!r:.40} has signs that no name has"
