"""The labels that a model can answer, one family at a time, since 77,000 titles do not fit into one answer."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from patent_hier.artifacts import fingerprint
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.results import Prediction
from patent_hier.taxonomy.lookup import LabelLookup
from patent_hier.taxonomy.names import LabelNames
from patent_hier.taxonomy.tree import NONE, LabelTree

MOST_CHILDREN = 500  # in one answer


@dataclass(frozen=True)
class Label:
    """A label and its names.

    Attributes:
        code: Code, such as ``A01B1/02``.
        level: Level, such as ``subgroup``.
        children: Number of labels directly below it.
        title: Title from the table that the model was trained or served with.
        zh: Short Chinese name from this package; available for sections and classes of the IPC.
        en: Short English name from this package; available for sections and classes of the IPC.
        blocked: Whether the label is never given as an answer because a place is blocked.
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
        levels: Number of labels per level, from the top.
        path: Labels from the first level to the requested one; empty for the whole scheme.
        children: Requested labels directly below it, in the order of the scheme.
        count: Total number of its children.
    """

    levels: dict[str, int]
    path: list[Label]
    children: list[Label]
    count: int


class Taxonomy:
    """Looks up the labels of a model and their families.

    Args:
        tree: All labels, with their titles.
        lookup: Finds labels in any usual spelling.
        version: Version of the model.
        blocked: Places that are never given as an answer; they are returned like any other label, but marked.

    Attributes:
        etag: Entity tag that changes with the labels, their titles and the blocked places.
        levels: Number of labels per level, from the top.
    """

    def __init__(self, tree: LabelTree, lookup: LabelLookup, version: str, blocked: Blocked) -> None:
        self._tree = tree
        self._names = LabelNames(tree)
        self._lookup = lookup
        self._blocked = blocked
        self.levels = {level: len(tree.labels(level)) for level in tree.levels}
        self.etag = f'"{fingerprint([version, dict(tree.titles), sorted(blocked.positions)])}"'

    def family(self, parent: str | None, level: str | None, offset: int, limit: int) -> Family:
        """Return the label ``parent``, or the whole scheme, with some of its children.

        Args:
            parent: Label in any usual spelling; None for the whole scheme.
            level: Level of the label, if labels of two levels share its code; None for the upper one.
            offset: Number of children to skip.
            limit: Maximum number of children to return.

        Raises:
            ConfigError: If the label or level is unknown.
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
        """Return the labels that a prediction contains, each once, level by level."""
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
