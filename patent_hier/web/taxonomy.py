"""The labels that a model can answer, a family at a time: 77,000 titles are no single answer."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from patent_hier.artifacts import fingerprint
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.results import Prediction
from patent_hier.taxonomy.lookup import LabelLookup
from patent_hier.taxonomy.names import LabelNames
from patent_hier.taxonomy.tree import NONE, LabelTree

MOST_CHILDREN = 500  # of one answer


@dataclass(frozen=True)
class Label:
    """A label and what it is called.

    Attributes:
        code: Such as ``A01B1/02``.
        level: Such as ``subgroup``.
        children: How many labels stand directly below it.
        title: Of the table that the model was trained or served with.
        zh: Our short Chinese name; sections and classes of the IPC have one.
        en: Our short English name, likewise.
        blocked: Whether no answer names it, since a place of the scheme is blocked.
    """

    code: str
    level: str
    children: int = 0
    title: str | None = None
    zh: str | None = None
    en: str | None = None
    blocked: bool = False


@dataclass(frozen=True)
class Family:
    """A label with its ancestors and its children.

    Attributes:
        levels: How many labels each level has, from the top.
        path: The labels from the first level to the one that was asked for; empty for the whole scheme.
        children: The labels directly below it, in the order of the scheme; those that were asked for.
        count: How many it has in all.
    """

    levels: dict[str, int]
    path: list[Label]
    children: list[Label]
    count: int


class Taxonomy:
    """Gives out the labels of a model.

    Args:
        tree: Them, with their titles.
        lookup: Finds them.
        version: Of the model.
        blocked: Places that no answer names; they are labels as any others here, and marked.

    Attributes:
        etag: Changes with the labels, their titles and what is blocked.
        levels: How many labels each level has, from the top.
    """

    def __init__(self, tree: LabelTree, lookup: LabelLookup, version: str, blocked: Blocked) -> None:
        self._tree = tree
        self._names = LabelNames(tree)
        self._lookup = lookup
        self._blocked = blocked
        self.levels = {level: len(tree.labels(level)) for level in tree.levels}
        self.etag = f'"{fingerprint([version, dict(tree.titles), sorted(blocked.positions)])}"'

    def family(self, parent: str | None, level: str | None, offset: int, limit: int) -> Family:
        """The label ``parent``, or the whole scheme, and so many of its children.

        Args:
            parent: In any usual spelling; None for the whole scheme.
            level: Its level, where labels of two levels have one code; None for the upper one.
            offset: How many children to pass over.
            limit: How many to give at most.

        Raises:
            ConfigError: If there is no such label or level.
        """
        tree, position = self._tree, NONE
        if parent is not None:
            position = self._lookup.find(parent)
            if level is not None:
                (deeper,) = tree.find(level, [tree.codes[position]]).tolist()
                position = deeper if deeper != NONE else position
        own = tree.children(position)
        path = tree.paths(np.array([position], np.int32))[0] if position != NONE else np.zeros(0, np.int32)
        children = range(own.start, own.stop)
        shown = self._labels(children[offset : offset + limit])
        return Family(self.levels, self._labels(path[path != NONE].tolist()), shown, len(children))

    def named_in(self, prediction: Prediction) -> list[Label]:
        """The labels that a prediction names, each once, level by level."""
        labels: dict[str, set[str]] = {level: {one.label for one in own} for level, own in prediction.levels.items()}
        for path in prediction.paths:
            for step in path.steps:
                labels[step.level].add(step.label)
        return self._labels(place for level, own in labels.items() for place in self._tree.find(level, sorted(own)))

    def _labels(self, positions: Iterable[int]) -> list[Label]:
        return [self._label(position) for position in positions]

    def _label(self, position: int) -> Label:
        code, own = str(self._tree.codes[position]), self._tree.children(position)
        is_blocked, names = bool(self._blocked.lost[position]), self._names.all_of(code)
        return Label(code, self._tree.level_of(position), own.stop - own.start, **names, blocked=is_blocked)
