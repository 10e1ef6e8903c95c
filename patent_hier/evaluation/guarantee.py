"""Thresholds with a guarantee: with 95 % confidence, answers are right at least as often as asked.

Two groups of documents choose them. *Planning* documents (``val``) may have chosen the model; they only decide what is
tested, and in which order. *Calibration* documents were used for nothing else; the guarantee rests on them alone.

1. The whole procedure is rehearsed on the planning documents. Levels that it cannot open there are given up, and the
   permitted error (5 %) is shared equally by the others, so that the guarantee holds at all levels at once, and hence
   for all answers together.
2. From the deepest level up, each on the documents that deeper levels leave: the first threshold is where the planning
   documents promise the clearest pass. The next ones are lower, each with a tenth more calibration documents above it.
   Each is passed by an exact one-sided binomial test, which is the same as a Clopper-Pearson bound that reaches the
   target. The first that fails ends the level, so no threshold is picked from many: fixed-sequence testing.
3. A higher target never answers a document deeper. Of the thresholds of all targets those are used that are nowhere
   above a higher target's and answer deepest on the whole; between them a target takes those of the next higher one.
   That looks at confidences only.

What it rests on: new documents are drawn like those of calibration, each by itself. Documents of one applicant are more
alike than that. Scalings are chosen on the calibration documents too, by level and not by document, and what deeper
levels leave depends on their thresholds;
``python -m benchmarks.backoff`` measures how often the guarantee is broken with all that included.

Source: Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test", arXiv:2110.01052, section 2 (fixed-sequence
testing); Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017, has the same bound
with a binary search over thresholds. Several levels, the rehearsal and the order across targets are ours.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from patent_hier.errors import ConfigError
from patent_hier.evaluation.selective import NEVER, Answers, Confidence, Hits, Thresholds, decided

ERROR = 0.05  # probability that an answered level is right less often than asked
TARGETS = tuple(round(0.5 + step / 100, 2) for step in range(50))  # 0.50 to 0.99
_GROWTH = 1.1  # of the documents above a threshold, from one test to the next
_RESERVE = 0.2  # of the way from the target to 1: planning documents may be easier than others


def is_shown(
    right: NDArray[np.int_] | int, n: NDArray[np.int_] | int, target: float, error: float
) -> NDArray[np.bool_]:
    """Whether so many right answers show an accuracy of at least ``target``; no answers show nothing.

    Args:
        right: Right answers.
        n: All answers, at least ``right``.
        target: 0 to 1, both excluded.
        error: Probability of a yes although the accuracy is below the target, at most.

    Source: Clopper and Pearson, Biometrika 26, 1934. Their one-sided lower bound is at least ``target`` just where a
    binomial variable of that probability is ``right`` or more with a probability of at most ``error``.
    """
    # The survival function of scipy.stats.binom, which takes every command a fifth of a second to import.
    shown: NDArray[np.bool_] = np.asarray(bdtrc(np.asarray(right) - 1.0, n, target) <= error)
    return shown


def least_documents(target: float, error: float = ERROR) -> int:
    """How many answers without an error show an accuracy of ``target``: 59 for 0.95 at an error of 0.05."""
    return math.ceil(math.log(error) / math.log(target) - 1e-9)


def clearest(confidence: Confidence, hits: Hits, target: float) -> float:
    """The threshold whose answers are furthest above the target, in standard errors; :data:`NEVER` if none is above.

    Args:
        confidence: ``(n,)`` of planning documents.
        hits: ``(n,)``.
        target: 0 to 1, both excluded.
    """
    ordered, right, last = _ordered(confidence, hits)
    n = np.arange(1, len(ordered) + 1)
    above = (right - (target + _RESERVE * (1 - target)) * n) / np.sqrt(n)
    above[~last | (n < least_documents(target))] = -np.inf
    best = int(above.argmax()) if len(above) else 0
    return float(ordered[best]) if len(above) and above[best] > 0 else NEVER


def lowest_shown(confidence: Confidence, hits: Hits, target: float, error: float, start: float) -> float:
    """The lowest threshold that is reached, from ``start`` down, by passing one test after the other.

    Args:
        confidence: ``(n,)`` of calibration documents.
        hits: ``(n,)``.
        target: 0 to 1, both excluded.
        error: Probability that the accuracy above the threshold is below the target, at most.
        start: The first threshold; a lower one if fewer documents are above it than a test needs.

    Returns:
        A confidence of one of the documents, or :data:`NEVER`.
    """
    ordered, right, _ = _ordered(confidence, hits)
    counts = [max(int((ordered >= start).sum()), least_documents(target, error))]
    if start == NEVER or counts[0] > len(ordered):
        return NEVER
    while counts[-1] < len(ordered):
        counts.append(min(max(counts[-1] + 1, round(counts[-1] * _GROWTH)), len(ordered)))
    n = np.unique(np.searchsorted(-ordered, -ordered[np.array(counts) - 1], side="right"))  # with all of equals
    shown = is_shown(right[n - 1], n, target, error)
    passed = len(n) if shown.all() else int(shown.argmin())
    return float(ordered[n[passed - 1] - 1]) if passed else NEVER


def choose_thresholds(
    calibration: Answers, planning: Answers, targets: Sequence[float] = TARGETS, error: float = ERROR
) -> list[Thresholds]:
    """Thresholds for several accuracies, ascending; see the module for the guarantee.

    A document without a label at a level is neither an answer nor an error there.

    Args:
        calibration: Documents that nothing was trained, chosen or planned on.
        planning: Others, of the same system.
        targets: Accuracies, 0 to 1, both excluded.
        error: Probability that some level's answers are right less often than asked, at most.

    Raises:
        ConfigError: If a number is out of range.
    """
    if wrong := [value for value in (*targets, error) if not 0 < value < 1]:
        raise ConfigError(f"accuracy or error {wrong[0]:g} is out of range; give a fraction above 0 and below 1")
    ordered, rows = sorted(targets), []
    for target in ordered:
        opened = np.flatnonzero(_walk(planning, planning, target, error, range(len(planning.levels))) < NEVER).tolist()
        rows.append(_walk(calibration, planning, target, error / max(len(opened), 1), opened))
    depths = [float((decided(calibration.confidence, row) + 1).mean()) for row in rows]
    used = _nested(rows, depths)
    return [
        Thresholds(target, dict(zip(calibration.levels, row.tolist(), strict=True)))
        for target, row in zip(ordered, used, strict=True)
    ]


def _nested(rows: Sequence[Confidence], depths: Sequence[float]) -> list[Confidence]:
    """Thresholds for each target of which none is above those of a higher target.

    Args:
        rows: By target, ascending, ``(n_levels,)`` each.
        depths: How deep each of them answers; the sum over the targets of what is used is as large as it can be.

    Returns:
        For each target its own thresholds or those of a higher one; :data:`NEVER` at all levels if neither fits.
    """
    best: list[float] = []  # the largest sum over the targets up to each one, if its own thresholds are used
    below: list[int] = []  # whose thresholds are used next, further down; -1 if no others are
    for own, (row, depth) in enumerate(zip(rows, depths, strict=True)):
        sums = [depth * (own + 1)]  # for all targets down to the lowest
        fits = [other for other in range(own) if (rows[other] <= row).all()]
        sums += [depth * (own - other) + best[other] for other in fits]
        choice = int(np.argmax(sums))
        best.append(sums[choice])
        below.append(fits[choice - 1] if choice else -1)
    used, own = [np.full_like(rows[0], NEVER)] * len(rows), int(np.argmax(best))
    while own >= 0:
        used[below[own] + 1 : own + 1] = [rows[own]] * (own - below[own])
        own = below[own]
    return used


def _walk(answers: Answers, planning: Answers, target: float, error: float, opened: Sequence[int]) -> Confidence:
    """Thresholds of the levels ``opened``, ``(n_levels,)``, from the deepest up; :data:`NEVER` for the others."""
    thresholds = np.full(len(answers.levels), NEVER)
    left, planned = np.ones(len(answers), np.bool_), np.ones(len(planning), np.bool_)
    for place in sorted(opened, reverse=True):
        rows, plan = left & answers.labelled(place), planned & planning.labelled(place)
        start = clearest(planning.confidence[plan, place], planning.hits[plan, place], target)
        own, hits = answers.confidence[rows, place], answers.hits[rows, place]
        thresholds[place] = lowest_shown(own, hits, target, error, start)
        left &= answers.confidence[:, place] < thresholds[place]
        planned &= planning.confidence[:, place] < thresholds[place]
    return thresholds


def _ordered(confidence: Confidence, hits: Hits) -> tuple[Confidence, NDArray[np.int_], Hits]:
    """Confidences falling, the right answers so far, and where the last of equal confidences stands, ``(n,)`` each."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
    return ordered, np.cumsum(hits[order]), last
