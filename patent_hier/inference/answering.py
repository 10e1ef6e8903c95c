"""From the scores of a system to its answers: what is asked, checked against the tree, and each document's decision."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.decoding import best, check_decoding, decode
from patent_hier.evaluation.level_scores import KEPT
from patent_hier.evaluation.restriction import Restriction
from patent_hier.evaluation.scores import TreeScores
from patent_hier.evaluation.selective import NEVER, Thresholds
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.predictor import paths_of
from patent_hier.inference.results import UNDECIDED, Decision, LabelPath, LabelScore, Prediction
from patent_hier.taxonomy.lookup import LabelLookup
from patent_hier.taxonomy.tree import NONE, LabelTree

Levels = dict[str, tuple[LabelScore, ...]]
Labels = str | Sequence[str]
_SHOWN = 3  # labels that a reason names


@dataclass(frozen=True)
class Question:
    """How documents are to be answered.

    Attributes:
        top_k: Paths for each document, and labels of each level, the most probable first; fewer where there are fewer.
        target_accuracy: Answer with the deepest level at which answers are right at least this often, with 95 %
            confidence (see :mod:`patent_hier.evaluation.guarantee`), or not at all. None: always the likeliest path's
            label. What it takes was measured on the model's own answers, without blocked or excluded labels: where a
            document's true label is one of these, the answer cannot be right.
        depth: The deepest level of answers; None for that of the system.
        force: Labels of any level, in any usual spelling, one or several, with commas or as a list: the answer is one
            of them, or below one. All probabilities are given that.
        exclude: Likewise; the answer is none of them, nor below one.
        beam: Labels that are followed at each level; None follows all (see
            :func:`patent_hier.evaluation.decoding.decode`).
        all_symbols: Also name all labels of each level that the document has, by the thresholds of
            :class:`patent_hier.evaluation.set_rule.SetRule`.
    """

    top_k: int = 3
    target_accuracy: float | None = None
    depth: str | None = None
    force: Labels = ()
    exclude: Labels = ()
    beam: int | None = None
    all_symbols: bool = False


@dataclass(frozen=True, eq=False)
class Asked:
    """A question held against the labels of a system.

    Attributes:
        top_k: As in :class:`Question`.
        beam: Likewise.
        tree: The labels that may be answered.
        thresholds: Of the target accuracy; None without one.
        restriction: The paths that remain by ``force``, ``exclude`` and the blocked places, in the system's whole tree;
            None without them.
        given: Level of the deepest label that the forced ones share, and in words that it was given; empty if they
            share none.
        known: All that was given, in words; empty for nothing.
        sets: Chooses all labels of each level; None where they were not asked for.
        blocked: How many places are blocked, in words; empty for none.
    """

    top_k: int
    beam: int | None
    tree: LabelTree
    thresholds: Thresholds | None = None
    restriction: Restriction | None = None
    given: tuple[str, str] = ("", "")
    known: str = ""
    sets: SetRule | None = None
    blocked: str = ""

    def answers(self, scores: TreeScores, version: str) -> Iterator[Prediction]:
        """The prediction for each document of a system's scores; ``version`` is the system's."""
        kept = None if self.restriction is None else self.restriction.kept[: len(self.tree)]
        for piece in scores.pieces():
            whole = self.restricted(piece)
            own = TreeScores(self.tree, whole.log_prob[:, : len(self.tree)], scores.flat)
            paths = paths_of(own, decode(own, self.top_k, beam=self.beam, kept=kept))
            likeliest = _likeliest(own, self.top_k, kept)
            symbols = [None] * len(own) if self.sets is None else _likeliest(own, KEPT, kept, self.sets)
            for best_paths, levels, named in zip(paths, likeliest, symbols, strict=True):
                decision = self._decide(best_paths[0], levels)
                yield Prediction(decision, tuple(best_paths), levels, version, symbols=named)

    def restricted(self, scores: TreeScores) -> TreeScores:
        """The scores given that one of the remaining paths is the true one; as they are where all remain."""
        return scores if self.restriction is None else self.restriction.apply(scores)

    def _decide(self, path: LabelPath, levels: Levels) -> Decision:
        """The deepest level that is sure enough; without thresholds the end of the likeliest path."""
        given_level, was_given = self.given
        if self.thresholds is None:
            reason = was_given if path.level == given_level else f"likeliest {path.level}{self.known}"
            return Decision(path.level, path.label, path.probability, None, self._reason(reason))
        candidates = {level: own[0] for level, own in levels.items()}
        candidates[path.level] = LabelScore(path.label, path.probability)  # a beam may have passed over likelier ones
        said = []
        for level in reversed(candidates):
            label, confidence = candidates[level].label, candidates[level].probability
            least = self.thresholds.levels[level]
            if level == given_level or confidence >= least:
                said.append(was_given if level == given_level else f"{level} {confidence:.3f} >= {least:.3f}")
                return Decision(level, label, confidence, self.thresholds.target, self._reason(*said))
            said.append(f"{level} {label} {confidence:.3f} < {_shown(least)}")
        first = candidates[self.tree.levels[0]]
        return Decision(UNDECIDED, None, first.probability, self.thresholds.target, self._reason(*said))

    def _reason(self, *said: str) -> str:
        return ", ".join((*said, self.blocked) if self.blocked else said)


class Answering:
    """Holds questions against the labels of a system.

    Args:
        tree: All its labels.
        lookup: Gives what finds them; asked for with the first label that is named.
        blocked: Those that no answer names.
    """

    def __init__(self, tree: LabelTree, lookup: Callable[[], LabelLookup], blocked: Blocked) -> None:
        self._tree = tree
        self._lookup = lookup
        self._blocked = blocked
        self._to_depth = {tree.depth: tree}

    def ask(self, question: Question, thresholds: Thresholds | None = None, sets: SetRule | None = None) -> Asked:
        """Check a question.

        Args:
            question: It.
            thresholds: Of its target accuracy; None without one.
            sets: For all symbols; None where they are not asked for.

        Raises:
            ConfigError: If a value is out of range, a level or label is unknown, a forced label is blocked, or no label
                is left.
        """
        depth = self._tree.depth if question.depth is None else question.depth
        if depth not in self._to_depth:
            self._to_depth[depth] = self._tree.to_depth(depth)
        tree = self._to_depth[depth]
        check_decoding(tree, question.top_k, question.beam)
        asked = Asked(question.top_k, question.beam, tree, thresholds, sets=sets, blocked=self._blocked.in_words())
        force, exclude = (self._positions(labels) for labels in (question.force, question.exclude))
        self._blocked.refuse(force)
        if not force and not exclude:
            return replace(asked, restriction=self._unblocked)
        restriction = Restriction.of(self._tree, force, [*exclude, *self._blocked.positions])
        given = self._given(restriction.given, tree, len(force))
        return replace(asked, restriction=restriction, given=given, known=self._known(force, exclude))

    @cached_property
    def _unblocked(self) -> Restriction | None:
        """The paths that are not blocked; None where nothing is."""
        return Restriction.of(self._tree, [], self._blocked.positions) if self._blocked else None

    def _positions(self, labels: Labels) -> list[int]:
        return self._lookup().find_all([labels] if isinstance(labels, str) else labels) if labels else []

    def _given(self, position: int, tree: LabelTree, n_forced: int) -> tuple[str, str]:
        if position == NONE:
            return "", ""
        path = self._tree.paths(np.array([position], np.int32))[0, : len(tree.levels)]
        place = int(path[path != NONE][-1])
        words = "was given" if n_forced == 1 else "holds all that was given"
        return tree.level_of(place), f"{tree.level_of(place)} {tree.codes[place]} {words}"

    def _known(self, force: Sequence[int], exclude: Sequence[int]) -> str:
        words = ""
        if len(force) == 1:
            words = f" of {self._tree.level_of(force[0])} {self._tree.codes[force[0]]}, which was given"
        elif force:
            words = f" below {self._names(force, 'or')}, which were given"
        return words + (f", without {self._names(exclude, 'and')}" if exclude else "")

    def _names(self, positions: Sequence[int], last: str) -> str:
        names = [str(self._tree.codes[place]) for place in positions[:_SHOWN]]
        if len(positions) > _SHOWN:
            names.append(f"{len(positions) - _SHOWN} more")
        return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _likeliest(
    scores: TreeScores, top_k: int, kept: NDArray[np.bool_] | None, sets: SetRule | None = None
) -> list[Levels]:
    """Each document's likeliest labels of every level; only those of its set, where a rule is given."""
    tree, columns = scores.tree, []
    for level in tree.levels:
        own = tree.span(level)
        places = np.arange(own.start, own.stop) if kept is None else np.flatnonzero(kept[own]) + own.start
        values = scores.log_prob[:, own] if kept is None else scores.log_prob[:, places]
        order = best(values, top_k)
        values = np.take_along_axis(values, order, axis=1)
        sizes = np.full(len(values), values.shape[1]) if sets is None else sets.choose(level, values).sum(axis=1)
        rows = zip(tree.codes[places[order]].tolist(), np.exp(values).tolist(), sizes.tolist(), strict=True)
        columns.append([tuple(map(LabelScore, labels[:size], chances[:size])) for labels, chances, size in rows])
    return [dict(zip(tree.levels, row, strict=True)) for row in zip(*columns, strict=True)]


def _shown(threshold: float) -> str:
    return f"{threshold:.3f}" if threshold < NEVER else "any confidence (the target cannot be guaranteed)"
