"""From the scores of a system's nodes to paths of the IPC: section, then a class of that section, for each document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.deriving import NodeScores, derive
from patent_hier.settings import FLAT, ROOT

NO_PATH = -1  # where a document has fewer paths than were asked for

Columns = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Tree:
    """What a system says of ``n`` documents, at both levels; natural logarithms in float64.

    Attributes:
        sections: The ``n_sections`` that have a class, sorted.
        classes: All ``n_classes``, sorted.
        section_of: Position in ``sections`` of each class, ``(n_classes,)``.
        section_log_prob: log P(section), ``(n, n_sections)``.
        class_log_prob: log P(section and class), ``(n, n_classes)``.
        within_log_prob: log P(class | section), ``(n, n_classes)``.
    """

    sections: tuple[str, ...]
    classes: tuple[str, ...]
    section_of: Columns
    section_log_prob: NDArray[np.float64]
    class_log_prob: NDArray[np.float64]
    within_log_prob: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.class_log_prob)

    def take(self, rows: slice) -> "Tree":
        """Only some documents."""
        return replace(
            self,
            section_log_prob=self.section_log_prob[rows],
            class_log_prob=self.class_log_prob[rows],
            within_log_prob=self.within_log_prob[rows],
        )

    @classmethod
    def of(cls, scores: Mapping[str, NodeScores]) -> "Tree":
        """The tree of a whole system's scores.

        Args:
            scores: By node: ``flat``, or ``root`` and all of its sections.

        Raises:
            IncompleteError: If a node is missing.
        """
        flat, root = derive(scores, FLAT), derive(scores, ROOT)
        classes = tuple(sorted(flat.labels))
        sections = tuple(sorted({label[0] for label in classes}))
        within = np.empty((len(flat.log_prob), len(classes)))
        for section in sections:
            own = derive(scores, section)
            within[:, [classes.index(label) for label in own.labels]] = own.log_prob
        return cls(
            sections,
            classes,
            np.array([sections.index(label[0]) for label in classes], dtype=np.intp),
            root.log_prob[:, [root.labels.index(section) for section in sections]].astype(np.float64),
            flat.log_prob[:, [flat.labels.index(label) for label in classes]].astype(np.float64),
            within,
        )


def check_search(
    sections: Sequence[str], n_classes: int, top_k: int = 1, *, beam: int | None = None, force: str | None = None
) -> None:
    """Refuse a search that a system cannot make; to be asked before any work.

    Args:
        sections: The sections that the system knows.
        n_classes: How many classes it knows.
        top_k: As in :func:`decode`; likewise below.
        beam: As there.
        force: As there.

    Raises:
        ConfigError: If ``top_k`` or ``beam`` is out of range, or the system has no class in the forced section.
    """
    for name, value, most, known in (("top_k", top_k, n_classes, "classes"), ("beam", beam, len(sections), "sections")):
        if value is not None and not 1 <= value <= most:
            raise ConfigError(f"{name}={value} is out of range; the system knows {most} {known}, give 1 to that")
    if force is not None and force not in sections:
        raise ConfigError(f"section {force!r} is not one of {', '.join(sections)}, which the system knows")


def decode(tree: Tree, top_k: int = 1, *, beam: int | None = None, force: str | None = None) -> Columns:
    """The likeliest paths of each document by joint probability.

    A path is a class with its own section, so it is consistent whatever the search.

    Args:
        tree: What the system says.
        top_k: Paths for each document.
        beam: Sections that are followed, the likeliest ones; 1 is greedy search, the paper's cascade. None follows all,
            and so is exact: the section of the likeliest path need not be the likeliest section.
        force: Only paths of this section, whatever its probability; the search is exact then.

    Returns:
        Positions in ``tree.classes``, ``(n, top_k)``, the most probable first, of equals the first class;
        :data:`NO_PATH` where the followed sections have no more classes.

    Raises:
        ConfigError: As :func:`check_search`.
    """
    check_search(tree.sections, len(tree.classes), top_k, beam=beam, force=force)
    score = tree.class_log_prob
    if force is not None:
        followed = np.broadcast_to(np.array(tree.sections) == force, tree.section_log_prob.shape)
        score = tree.within_log_prob  # where the section is impossible, its classes still have an order
    elif beam is not None and beam < len(tree.sections):
        best = np.argsort(-tree.section_log_prob, axis=1, kind="stable")[:, :beam]
        followed = np.zeros(tree.section_log_prob.shape, dtype=bool)
        np.put_along_axis(followed, best, values=True, axis=1)
    else:
        return np.argsort(-score, axis=1, kind="stable")[:, :top_k]
    open_ = followed[:, tree.section_of]  # (n, n_classes)
    order = np.lexsort((-score, ~open_), axis=1)[:, :top_k]
    return np.where(np.take_along_axis(open_, order, axis=1), order, NO_PATH)
