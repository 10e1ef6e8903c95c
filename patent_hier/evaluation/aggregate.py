"""Computation of a system's result at every level from its predictions, without reading or writing files."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.labels import DocumentLabels
from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation import metrics
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.frequency import scores_by_band
from patent_hier.evaluation.label_sets import true_sets
from patent_hier.evaluation.level_scores import NO_TARGET, UNSEEN, LevelScores
from patent_hier.evaluation.macro_f1 import macro_f1
from patent_hier.evaluation.micro_f1 import micro_scores
from patent_hier.evaluation.result import BandScores, LevelResult, LocalScore, Result, Score, SetScores
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.evaluation.set_scores import score_sets
from patent_hier.evaluation.system import SYSTEM
from patent_hier.settings import FLAT, SHARED
from patent_hier.taxonomy.tree import NONE

Hits = NDArray[np.bool_]
Answers = NDArray[np.int32]
Named = tuple[SetRule, NetworkPredictions]  # the rule for sets of labels, and the recalibrated scores that it uses


def answers(system: NetworkPredictions) -> list[Answers]:
    """Return a system's answer at each level, ``(n,)`` positions among the level's labels; :data:`NONE` for no answer.

    Local classifiers and shared networks decide level by level (the cascade). A flat classifier answers with the most
    probable label of each level, so its section may differ from the section of its class.
    """
    if system.flat:
        return [own.best(1)[0][:, 0] for own in system.levels]
    return [own.greedy for own in system.levels]


def level_hits(system: NetworkPredictions) -> dict[str, Hits]:
    """Return, by level, whether the answer is the true label, ``(n,)``; false without a true label."""
    pairs = zip(system.levels, answers(system), strict=True)
    return {own.level: (own.target_codes >= 0) & (answer == own.target_codes) for own, answer in pairs}


def local_hits(own: LevelScores) -> Hits:
    """Return whether the head of the true parent finds the label, ``(n,)``."""
    hits: Hits = own.sibling_rank == 0
    return hits


def has_label(own: LevelScores) -> Hits:
    """Return which documents have a label at a level, ``(n,)``."""
    present: Hits = own.target_codes != NO_TARGET
    return present


def aggregate(
    system: NetworkPredictions,
    labels: DocumentLabels | None = None,
    part: str = "test",
    every_label: tuple[str, ...] = (),
    train_counts: NDArray[np.int64] | None = None,
    calibrated: NetworkPredictions | None = None,
) -> Result:
    """Score a system on one part.

    Args:
        system: Predictions from :func:`patent_hier.evaluation.system.merge`, with the corpus's labels as targets.
        labels: Labels of the system's documents, in the same order. They provide the further symbols and are needed
            for ``train_counts``; without them, WIPO's third measure and the scores of sets are left out.
        part: Part to score.
        every_label: Labels that the first level can have; those without documents are listed in the result.
        train_counts: ``(len(labels.tree),)`` from :func:`patent_hier.evaluation.frequency.training_counts`; without
            it, scores are not split by number of training documents.
        calibrated: Recalibrated scores of the same documents, for the predicted label sets; without them, the scores of
            these sets are left out.

    Raises:
        ArtifactError: If the part has no documents.
        DataError: If no document of the part has a label.
    """
    rows = np.flatnonzero(system.parts == part)
    rule = _set_rule(calibrated, labels)
    system = system.select(part)
    own_labels = None if labels is None else labels.take(rows)
    if not has_label(system.levels[0]).any():
        raise DataError(
            f"no document in part {part} has a label at level {system.levels[0].level}; check the split and the corpus"
        )
    answered = answers(system)
    named = None if rule is None or calibrated is None else (rule, calibrated.take(rows))
    levels = {
        own.level: _level_result(system, place, answered, own_labels, train_counts, named)
        for place, own in enumerate(system.levels)
        if has_label(own).any()
    }
    first = system.levels[0]
    kind = {SYSTEM: "hier", FLAT: "flat", SHARED: "shared"}.get(system.node, system.node)
    supported = set(first.targets)
    return Result(
        kind,
        part,
        len(system),
        levels,
        _all_right(system),
        tuple(label for label in every_label or system.tree.labels(first.level) if label not in supported),
        () if len(system.levels) == 1 else _constant(system),
        rule,
    )


def _set_rule(calibrated: NetworkPredictions | None, labels: DocumentLabels | None) -> SetRule | None:
    """Return the rule for label sets; None without calibration documents or without documents with several symbols."""
    if calibrated is None or labels is None or not len(labels.further):
        return None
    rows = np.flatnonzero(calibrated.parts == "calibration")
    return SetRule.fit(calibrated.take(rows), labels.take(rows)) if len(rows) else None


def _sets(
    system: NetworkPredictions, level: str, labels: DocumentLabels | None, named: Named | None
) -> SetScores | None:
    if labels is None or not len(labels.further):
        return None
    own = None if named is None else (named[0], named[1].level(level))
    return score_sets(system.level(level), true_sets(system.tree, level, labels), own)


def _constant(system: NetworkPredictions) -> tuple[str, ...]:
    """Return the labels of the first level with exactly one label below and at most one at each deeper level."""
    first = system.tree.span(system.levels[0].level)
    ancestors = system.tree.ancestors(system.levels[0].level)
    counts = [np.bincount(ancestors[system.tree.span(own.level)], minlength=first.stop) for own in system.levels[1:]]
    constant = (counts[0] == 1) & (np.max(counts, axis=0) == 1)
    return tuple(system.tree.codes[first][constant].tolist())


def _all_right(system: NetworkPredictions) -> Score:
    """Score the share of documents whose answer is right at every level at which they have a label."""
    hits = level_hits(system)
    right = np.logical_and.reduce([hits[own.level] | ~has_label(own) for own in system.levels])
    rows = has_label(system.levels[0])
    deepest = next(own for own in reversed(system.levels) if has_label(own).any())
    n_labels = len(np.unique(_label_ids(deepest)[has_label(deepest)]))
    return Score.of_hits(int(right[rows].sum()), int(rows.sum()), n_labels)


def _level_result(
    system: NetworkPredictions,
    place: int,
    answered: list[Answers],
    labels: DocumentLabels | None,
    train_counts: NDArray[np.int64] | None,
    named: Named | None,
) -> LevelResult:
    own = system.levels[place]
    present = has_label(own)
    ids = _label_ids(own)
    n_labels = len(np.unique(ids[present]))

    def share(hits: Hits) -> Score:
        return Score.of_hits(int(hits[present].sum()), int(present.sum()), n_labels)

    unseen = own.targets[present & (own.target_codes < 0)]
    right = [
        (answer == one.target_codes) & (one.target_codes >= 0)
        for answer, one in zip(answered, system.levels, strict=True)
    ]
    rank = own.target_rank
    known = own.target_codes >= 0
    top = {k: share(known & (rank < k)) for k in (1, 3, 5)}
    any_hits = None if labels is None else _any_symbol_hits(system, own, labels)
    n_documents = int(has_label(system.levels[0]).sum())
    before = np.logical_and.reduce(right[:place], axis=0) if place else np.ones(len(own.targets), np.bool_)
    paths = _answered_paths(system, place, answered)
    f1, interval = macro_f1(ids[present], answered[place][present])
    return LevelResult(
        level=own.level,
        unseen_documents=len(unseen),
        unseen_labels=tuple(sorted(set(unseen))),
        accuracy=share(right[place]),
        top_1=top[1],
        top_3=top[3],
        top_5=top[5],
        oracle=None if system.flat else share(local_hits(own)),
        product=None
        if system.flat
        else _product([local_hits(one)[present] for one in system.levels[: place + 1]], n_labels),
        macro_f1=Score(f1, int(present.sum()), n_labels, interval),
        **_hierarchical(system, place, paths, present, n_labels),
        wipo_top_prediction=top[1],
        wipo_three_guesses=top[3],
        wipo_any_symbol=None if any_hits is None else share(any_hits),
        first_errors=Score.of_hits(int((before & ~right[place] & present).sum()), n_documents, n_labels),
        local={} if not place or system.flat else _local(system, own, ids, present),
        by_training_documents=_by_frequency(own, labels, train_counts),
        sets=_sets(system, own.level, labels, named),
    )


def _by_frequency(
    own: LevelScores, labels: DocumentLabels | None, train_counts: NDArray[np.int64] | None
) -> dict[str, BandScores]:
    """Return the scores of the ranking by the number of training documents of the true label."""
    if labels is None or train_counts is None:
        return {}
    positions = labels.main[:, labels.tree.levels.index(own.level)]
    rows = has_label(own) & (positions != NONE)
    known = own.target_codes[rows] >= 0
    hits = {f"top_{k}": known & (own.target_rank[rows] < k) for k in (1, 5)}
    return scores_by_band(train_counts[positions[rows]], positions[rows], **hits)


def _any_symbol_hits(system: NetworkPredictions, own: LevelScores, labels: DocumentLabels) -> Hits:
    """Return whether the most probable label is that of the main symbol or of a further symbol, ``(n,)``."""
    best = own.best(1)[0][:, 0]
    hits: Hits = (best == own.target_codes) & (own.target_codes >= 0)
    column = labels.further[:, labels.tree.levels.index(own.level)]
    further = labels.tree.names(column)
    start = system.tree.span(own.level).start
    codes = system.tree.find(own.level, further)
    owners = labels.owners
    hits[owners[(codes != NONE) & (codes - start == best[owners])]] = True
    return hits


def _product(hits: list[Hits], n_labels: int) -> Score:
    """Return equation (1) over all the given levels: the product of their accuracies given the true parent."""
    n_levels = len(hits)
    cells = np.bincount(np.stack(hits, 1) @ (1 << np.arange(n_levels)), minlength=1 << n_levels)
    shape = (2,) * n_levels

    def equation_1(counts: NDArray[np.int64]) -> float:
        table, total = counts.reshape(shape), counts.sum()
        shares = [table.take(1, axis=axis).sum() / total for axis in range(n_levels)]
        return float(np.prod(shares))

    return Score(equation_1(cells), len(hits[0]), n_labels, metrics.bootstrap_interval(cells, equation_1))


def _label_ids(own: LevelScores) -> NDArray[np.int64]:
    """Return a number for each true label, ``(n,)``: its code, a higher number if unseen, ``NO_TARGET`` if none."""
    ids = own.target_codes.astype(np.int64)
    unseen = ids == UNSEEN
    ids[unseen] = np.iinfo(np.int32).max + 1 + np.unique(own.targets[unseen].astype(str), return_inverse=True)[1]
    return ids


def _answered_paths(system: NetworkPredictions, place: int, answered: list[Answers]) -> list[Answers]:
    """Return the answered path down to a level; for a flat classifier, its answer there and the ancestors of it."""
    if not system.flat:
        return answered[: place + 1]
    start = system.tree.span(system.levels[place].level).start
    levels = system.levels[: place + 1]
    return [
        (system.tree.ancestors(one.level)[start + answered[place]] - system.tree.span(one.level).start).astype(np.int32)
        for one in levels
    ]


def _hierarchical(
    system: NetworkPredictions, place: int, paths: list[Answers], present: Hits, n_labels: int
) -> dict[str, Score]:
    """Return precision, recall and F1 over the labels of the paths, micro-averaged.

    Source: Kiritchenko, Matwin, Nock and Famili, "Learning and evaluation in the presence of class hierarchies", 2006.
    """
    levels = system.levels[: place + 1]
    columns = [
        sum((path == one.target_codes) & (one.target_codes >= 0) for path, one in zip(paths, levels, strict=True)),
        sum(path != NONE for path in paths),
        sum(has_label(one) for one in levels),
    ]
    scores = micro_scores(np.stack(columns, axis=1)[present], n_labels)
    return {f"hierarchical_{name}": score for name, score in scores.items()}


def _local(
    system: NetworkPredictions, own: LevelScores, ids: NDArray[np.int64], present: Hits
) -> dict[str, LocalScore]:
    first = system.levels[0]
    ancestors = system.tree.ancestors(first.level)[system.tree.span(own.level)]
    sizes = np.bincount(ancestors, minlength=len(system.tree.labels(first.level)))
    size_of = dict(zip(system.tree.labels(first.level), sizes.tolist(), strict=True))
    result = {}
    for label in sorted(set(first.targets[present])):
        rows = present & (first.targets == label)
        score = Score.of_hits(int(local_hits(own)[rows].sum()), int(rows.sum()), len(np.unique(ids[rows])))
        result[label] = LocalScore(**vars(score), n_labels=size_of.get(label, 0))
    return result


def product_from_table(
    section_accuracy: float, local_accuracy: Mapping[str, float], counts: Mapping[str, int]
) -> tuple[float, float]:
    """Compute equation (1) from a table of accuracies and document counts.

    Args:
        section_accuracy: Accuracy at the section level, a fraction.
        local_accuracy: Accuracy by section, a fraction; not needed for sections without documents.
        counts: Number of documents by section.

    Returns:
        The document-weighted mean of the local accuracies, and its product with ``section_accuracy``.

    Raises:
        ConfigError: If an accuracy is not a fraction (but a percentage, say), or a section has documents but no
            accuracy.

    Source: arXiv:1911.06241, equation (1).
    """
    weights = {section: count for section, count in counts.items() if count > 0}
    missing = [section for section in weights if section not in local_accuracy]
    if missing or not weights:
        raise ConfigError(
            f"no local accuracy for section {', '.join(missing) or 'any'}; give one for each counted section"
        )
    for name, value in (("section", section_accuracy), *local_accuracy.items()):
        if not 0 <= value <= 1:
            raise ConfigError(f"accuracy {value} ({name}) is not a fraction; divide percentages by 100")
    oracle = sum(local_accuracy[section] * count for section, count in weights.items()) / sum(weights.values())
    return oracle, section_accuracy * oracle
