"""Turn a system's scores into answers: check each question against the label tree and decide every document."""

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
_SHOWN = 3  # labels listed in a reason


@dataclass(frozen=True)
class Question:
    """Options for answering documents.

    Attributes:
        top_k: Number of paths per document, and of labels per level, most probable first. There are fewer if the system
            has fewer.
        target_accuracy: Answer at the deepest level at which answers are right at least this often with 95 % confidence
            (see :mod:`patent_hier.evaluation.guarantee`), or not at all. None: always answer with the last label of the
            likeliest path. The thresholds were fitted to the model's own answers, without blocked or excluded labels.
            If a document's true label is blocked or excluded, its answer cannot be right.
        depth: Deepest level of the answers; None: the system's deepest level.
        force: One or more labels of any level, in any usual spelling, as a list or separated by commas. The answer is
            one of them or lies below one of them. All probabilities are conditional on this.
        exclude: Labels in the same form as ``force``. The answer is none of them and lies below none of them.
        beam: Number of labels followed at each level; None: all (see :func:`patent_hier.evaluation.decoding.decode`).
        all_symbols: Also return every label that the document should have at each level, chosen by the thresholds of
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
    """A question checked against the labels of a system.

    Attributes:
        top_k: As in :class:`Question`.
        beam: As in :class:`Question`.
        tree: Labels that may be answered.
        thresholds: Thresholds for the target accuracy; None without a target accuracy.
        restriction: Paths in the system's whole tree that remain after ``force``, ``exclude`` and the blocked places;
            None if all paths remain.
        given: Level of the deepest label shared by all forced labels, and the phrase that describes it in a reason;
            empty if they share none.
        known: Phrase that describes all forced and excluded labels; empty without any.
        sets: Rule that chooses the labels of each level; None if they were not requested.
        blocked: Phrase that gives the number of blocked places; empty if there are none.
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
        """Yield the prediction for each document, given a system's scores and its ``version``."""
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
        """Return the scores conditional on the remaining paths; unchanged if all paths remain."""
        return scores if self.restriction is None else self.restriction.apply(scores)

    def _decide(self, path: LabelPath, levels: Levels) -> Decision:
        """Choose the deepest level whose confidence reaches its threshold; without thresholds, the end of the path."""
        given_level, was_given = self.given
        if self.thresholds is None:
            reason = was_given if path.level == given_level else f"likeliest {path.level}{self.known}"
            return Decision(path.level, path.label, path.probability, None, self._reason(reason))
        candidates = {level: own[0] for level, own in levels.items()}
        candidates[path.level] = LabelScore(path.label, path.probability)  # a beam may have skipped likelier labels
        said: list[str] = []
        without: list[str] = []  # levels without a threshold, deepest first
        for level in reversed(candidates):
            label, confidence = candidates[level].label, candidates[level].probability
            least = self.thresholds.levels[level]
            if level == given_level or confidence >= least:
                said.append(was_given if level == given_level else f"{level} {confidence:.3f} >= {least:.3f}")
                reason = self._reason(*said, *_without_threshold(without))
                return Decision(level, label, confidence, self.thresholds.target, reason)
            if least < NEVER:
                said.append(f"{level} {label} {confidence:.3f} < threshold {least:.3f}")
            else:
                without.append(level)
        first = candidates[self.tree.levels[0]]
        if all(least == NEVER for least in self.thresholds.levels.values()):
            said.append(f"no level can guarantee {100 * self.thresholds.target:g} %")
        else:
            said += _without_threshold(without)
        return Decision(UNDECIDED, None, first.probability, self.thresholds.target, self._reason(*said))

    def _reason(self, *said: str) -> str:
        return ", ".join((*said, self.blocked) if self.blocked else said)


class Answering:
    """Checks questions against the labels of a system.

    Args:
        tree: All labels of the system.
        lookup: Returns the label lookup; called when the first label is named.
        blocked: Labels that are never given as an answer.
    """

    def __init__(self, tree: LabelTree, lookup: Callable[[], LabelLookup], blocked: Blocked) -> None:
        self._tree = tree
        self._lookup = lookup
        self._blocked = blocked
        self._to_depth = {tree.depth: tree}

    def ask(self, question: Question, thresholds: Thresholds | None = None, sets: SetRule | None = None) -> Asked:
        """Check a question and resolve its labels.

        Args:
            question: The question.
            thresholds: Thresholds for the target accuracy; None without a target accuracy.
            sets: Rule for all symbols; None if they were not requested.

        Raises:
            ConfigError: If a value is out of range, a level or label is unknown, a forced label is blocked, or no label
                remains.
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
        """The paths that are not blocked; None if no place is blocked."""
        return Restriction.of(self._tree, [], self._blocked.positions) if self._blocked else None

    def _positions(self, labels: Labels) -> list[int]:
        return self._lookup().find_all([labels] if isinstance(labels, str) else labels) if labels else []

    def _given(self, position: int, tree: LabelTree, n_forced: int) -> tuple[str, str]:
        if position == NONE:
            return "", ""
        path = self._tree.paths(np.array([position], np.int32))[0, : len(tree.levels)]
        place = int(path[path != NONE][-1])
        words = "was specified" if n_forced == 1 else "contains all specified labels"
        return tree.level_of(place), f"{tree.level_of(place)} {tree.codes[place]} {words}"

    def _known(self, force: Sequence[int], exclude: Sequence[int]) -> str:
        words = ""
        if len(force) == 1:
            words = f" within the specified {self._tree.level_of(force[0])} {self._tree.codes[force[0]]}"
        elif force:
            words = f" within the specified {self._names(force, 'or')}"
        return words + (f", excluding {self._names(exclude, 'and')}" if exclude else "")

    def _names(self, positions: Sequence[int], last: str) -> str:
        names = [str(self._tree.codes[place]) for place in positions[:_SHOWN]]
        if len(positions) > _SHOWN:
            names.append(f"{len(positions) - _SHOWN} more")
        return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _likeliest(
    scores: TreeScores, top_k: int, kept: NDArray[np.bool_] | None, sets: SetRule | None = None
) -> list[Levels]:
    """Return each document's likeliest labels of every level, limited to its label set if a rule is given."""
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


def _without_threshold(levels: Sequence[str]) -> list[str]:
    """Return the phrase for levels, deepest first, at which no threshold guarantees the target; empty if none."""
    return [f"no threshold for {', '.join(reversed(levels))}"] if levels else []
