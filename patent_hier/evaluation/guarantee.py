"""Thresholds with a guarantee: with 95 % confidence, the accuracy of the answers is at least the target accuracy.

The thresholds are chosen on two sets of documents. *Planning* documents (``val``) may have been used to select the
model; they only decide which thresholds are tested, and in which order. *Calibration* documents were used for nothing
else; the guarantee is based on them alone.

1. The whole procedure is rehearsed on the planning documents. Levels that get no threshold there are dropped, and the
   permitted error (5 %) is divided equally among the others. So the guarantee holds at all levels at once, and hence
   for all answers together.
2. The levels are processed from the deepest up, each on the documents that the deeper levels leave unanswered. The
   first threshold is where the planning documents suggest the clearest pass. Each following threshold is lower, with a
   tenth more calibration documents above it. A threshold passes by an exact one-sided binomial test, which is
   equivalent to a Clopper-Pearson bound that reaches the target. The first failure ends the level, so that no
   threshold is picked from many (fixed-sequence testing).
3. A higher target never answers a document at a deeper level than a lower target. From the thresholds of all targets, a
   subset is used in which no threshold exceeds that of a higher target, chosen so that documents are answered as deep
   as possible overall. A target outside the subset takes the thresholds of the next higher one. This step uses
   confidences only.

The guarantee assumes that new documents are drawn from the same distribution as the calibration documents,
independently of each other. Documents of one applicant are more alike than that. Scalings are also chosen on the
calibration documents (by level, not by document), and the documents left by deeper levels depend on their thresholds.
``python -m benchmarks.backoff`` measures how often the guarantee is broken with all these effects included.

Source: Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then Test", arXiv:2110.01052, section 2 (fixed-sequence
testing). Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017, use the same bound
with a binary search over thresholds. The extension to several levels, the rehearsal and the order across targets are
ours.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from patent_hier.errors import ConfigError
from patent_hier.evaluation.selective import NEVER, Answers, Confidence, Hits, Thresholds, decided

ERROR = 0.05  # maximum probability that the accuracy of an answered level is below the target
TARGETS = tuple(round(0.5 + step / 100, 2) for step in range(50))  # 0.50 to 0.99
_GROWTH = 1.1  # factor from one test to the next for the number of documents above the threshold
_RESERVE = 0.2  # share of the way from the target to 1: planning documents may be easier than others


def is_shown(
    right: NDArray[np.int_] | int, n: NDArray[np.int_] | int, target: float, error: float
) -> NDArray[np.bool_]:
    """Return whether the right answers prove an accuracy of at least ``target``; false if there are no answers.

    Args:
        right: Number of right answers.
        n: Number of all answers, at least ``right``.
        target: Target accuracy, between 0 and 1 (exclusive).
        error: Maximum probability of a pass although the accuracy is below the target.

    Source: Clopper and Pearson, Biometrika 26, 1934. Their one-sided lower bound is at least ``target`` exactly if a
    binomial variable with that probability is ``right`` or more with a probability of at most ``error``.
    """
    # This is the survival function of scipy.stats.binom, whose import would delay every command by 0.2 s.
    shown: NDArray[np.bool_] = np.asarray(bdtrc(np.asarray(right) - 1.0, n, target) <= error)
    return shown


def least_documents(target: float, error: float = ERROR) -> int:
    """Return how many answers, all right, prove an accuracy of ``target``: 59 for 0.95 at an error of 0.05."""
    return math.ceil(math.log(error) / math.log(target) - 1e-9)


def clearest(confidence: Confidence, hits: Hits, target: float) -> float:
    """Return the threshold whose accuracy is furthest above the target, in standard errors.

    Args:
        confidence: Confidence of the planning documents, ``(n,)``.
        hits: Whether each answer is right, ``(n,)``.
        target: Target accuracy, between 0 and 1 (exclusive).

    Returns:
        A confidence of one of the documents, or :data:`NEVER` if no threshold is above the target.
    """
    ordered, right, last = _ordered(confidence, hits)
    n = np.arange(1, len(ordered) + 1)
    above = (right - (target + _RESERVE * (1 - target)) * n) / np.sqrt(n)
    above[~last | (n < least_documents(target))] = -np.inf
    best = int(above.argmax()) if len(above) else 0
    return float(ordered[best]) if len(above) and above[best] > 0 else NEVER


def lowest_shown(confidence: Confidence, hits: Hits, target: float, error: float, start: float) -> float:
    """Return the lowest threshold that passes, testing from ``start`` down until the first failure.

    Args:
        confidence: Confidence of the calibration documents, ``(n,)``.
        hits: Whether each answer is right, ``(n,)``.
        target: Target accuracy, between 0 and 1 (exclusive).
        error: Maximum probability that the accuracy above the threshold is below the target.
        start: First threshold to test; the first test uses a lower one if too few documents are above ``start``.

    Returns:
        A confidence of one of the documents, or :data:`NEVER`.
    """
    ordered, right, _ = _ordered(confidence, hits)
    counts = [max(int((ordered >= start).sum()), least_documents(target, error))]
    if start == NEVER or counts[0] > len(ordered):
        return NEVER
    while counts[-1] < len(ordered):
        counts.append(min(max(counts[-1] + 1, round(counts[-1] * _GROWTH)), len(ordered)))
    n = np.unique(np.searchsorted(-ordered, -ordered[np.array(counts) - 1], side="right"))  # including all ties
    shown = is_shown(right[n - 1], n, target, error)
    passed = len(n) if shown.all() else int(shown.argmin())
    return float(ordered[n[passed - 1] - 1]) if passed else NEVER


def choose_thresholds(
    calibration: Answers, planning: Answers, targets: Sequence[float] = TARGETS, error: float = ERROR
) -> list[Thresholds]:
    """Return thresholds for several target accuracies, ascending; see the module docstring for the guarantee.

    A document without a label at a level counts neither as an answer nor as an error there.

    Args:
        calibration: Answers to documents that were not used for training, selection or planning.
        planning: Answers of the same system to other documents.
        targets: Target accuracies, between 0 and 1 (exclusive).
        error: Maximum probability that the accuracy of any level is below the target.

    Raises:
        ConfigError: If a target or the error is out of range.
    """
    if wrong := [value for value in (*targets, error) if not 0 < value < 1]:
        raise ConfigError(f"accuracy or error {wrong[0]:g} is out of range; use a fraction above 0 and below 1")
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
    """Return thresholds for each target, none above the thresholds of a higher target.

    Args:
        rows: Thresholds by target, ascending, ``(n_levels,)`` each.
        depths: Mean depth of the answers with each row; the sum over the rows used for all targets is maximised.

    Returns:
        For each target its own thresholds or those of a higher target; :data:`NEVER` at all levels if none fits.
    """
    best: list[float] = []  # largest sum over the targets up to each one, if its own thresholds are used
    below: list[int] = []  # the next lower target whose own thresholds are used; -1 if there is none
    for own, (row, depth) in enumerate(zip(rows, depths, strict=True)):
        sums = [depth * (own + 1)]  # used for all targets down to the lowest
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
    """Choose thresholds for the levels in ``opened``, from the deepest up, ``(n_levels,)``; else :data:`NEVER`."""
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
    """Return descending confidences, cumulative hits, and whether each row is the last of its ties, ``(n,)`` each."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
    return ordered, np.cumsum(hits[order]), last
