"""Whether documents look like others: each measure of two profiles compared, its size and its chance.

The size is a Jensen-Shannon distance, 0 to 1, of the two histograms, less what samples of the same documents come to:
without that, some hundred documents over a hundred classes look far from anything. The chance is that of a permutation
test on the same divergence, Holm's adjustment over the measures. An alarm needs both. With many documents any
difference is significant, and documents of one applicant or week are not independent, so p alone says little.

The least distances were chosen on ``val`` of 31,498 gazette titles, split by applicant, against 1,416 calibration
documents of a linear model. Of 60 samples of 500 documents drawn one by one the largest distance was 0.106
(``labels.class``), of the other measures 0.097. Of 60 samples of whole applicants, 500 documents each, it was 0.21 and
0.16 for the labels of class and section, and 0.13 for the others; in 15 of them some p was below 0.01. A distance of
0.15 is a population stability index of about 0.12, one of 0.25 of about 0.35.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from patent_hier.evaluation.profile import Profile, measures_of
from patent_hier.evaluation.significance import holm

LEAST_DOCUMENTS = 100  # fewer are described, not judged
LARGEST_P = 0.01
_RESAMPLES = 4_999  # so that p can be below LARGEST_P after Holm's adjustment of up to 49 measures
_FEW_RESAMPLES = 499  # where only the distance is told
_RARE = 5  # labels of fewer documents, both profiles together, are one
LABELS = "labels"
_LEAST_DISTANCE, _LEAST_OF_LABELS = 0.15, 0.25  # labels follow the applicants more than the rest does


@dataclass(frozen=True)
class Shift:
    """One measure of documents beside that of the reference.

    Attributes:
        measure: ``characters``, ``bigrams``, ``latin`` (shares of a text), ``length`` (characters), ``confidence.`` and
            ``labels.`` with a level.
        before: Mean of the reference; of labels None.
        now: Mean of the documents; of labels, and where there is nothing to take it of, None.
        distance: Jensen-Shannon distance of the two distributions, less what chance alone makes, 0 to 1.
        least: The distance from which on it can be an alarm.
        p_value: Of a permutation test, after Holm's adjustment; None for fewer than :data:`LEAST_DOCUMENTS` documents.
    """

    measure: str
    before: float | None
    now: float | None
    distance: float
    least: float
    p_value: float | None

    @property
    def is_alarm(self) -> bool:
        """Whether the documents are so far from the reference that chance and small differences are no explanation."""
        return self.p_value is not None and self.p_value < LARGEST_P and self.distance >= self.least


def compare(reference: Profile, own: Profile, seed: int = 0) -> list[Shift]:
    """Compare every measure.

    Args:
        reference: Of other documents, which the system was calibrated on.
        own: Of the documents; one or more.
        seed: Of the permutations; equal seeds give equal results.

    Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1),
    1991; Endres and Schindelin, "A new metric for probability distributions", likewise 49(7), 2003.
    """
    rng, is_judged = np.random.default_rng(seed), own.documents >= LEAST_DOCUMENTS
    resamples = _RESAMPLES if is_judged else _FEW_RESAMPLES
    means = {one.name: (reference.mean(one), own.mean(one)) for one in measures_of(reference.levels)}
    found = {name: _distance(reference.bins[name], own.bins[name], rng, resamples) for name in means}
    for level in reference.labels:
        found[f"{LABELS}.{level}"] = _distance(*_common(reference, own, level), rng, resamples)
    adjusted: Sequence[float | None] = holm([chance for _, chance in found.values()])
    if not is_judged:
        adjusted = [None] * len(found)
    return [
        Shift(name, *means.get(name, (None, None)), distance, _least(name), p_value)
        for (name, (distance, _)), p_value in zip(found.items(), adjusted, strict=True)
    ]


def _least(name: str) -> float:
    return _LEAST_OF_LABELS if name.startswith(LABELS) else _LEAST_DISTANCE


def _common(reference: Profile, own: Profile, level: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many documents have each label, in both profiles; rare ones are one."""
    first, second = reference.labels[level], own.labels[level]
    names = sorted(first.keys() | second.keys())
    counts = np.array([[first[name] for name in names], [second[name] for name in names]], np.int64)
    is_rare = counts.sum(axis=0) < _RARE
    rest = counts[:, is_rare].sum(axis=1, keepdims=True)
    before, now = np.concatenate([counts[:, ~is_rare], rest], axis=1)
    return before, now


def _distance(
    before: NDArray[np.int64], now: NDArray[np.int64], rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """Distance and p-value of two histograms."""
    pooled = before + now
    pooled, now = pooled[pooled > 0], now[pooled > 0]
    drawn = rng.multivariate_hypergeometric(pooled, int(now.sum()), size=resamples, method="marginals")
    own = float(_divergence(pooled, now[None])[0])
    chance = _divergence(pooled, drawn)
    p_value = (1 + int((chance >= own - 1e-12).sum())) / (resamples + 1)
    return float(np.sqrt(max(0.0, own - float(chance.mean())))), p_value


def _divergence(pooled: NDArray[np.int64], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """The Jensen-Shannon divergence in bits, ``(m,)``, of drawn documents ``(m, n_bins)`` and those that are left."""
    first, second = drawn / drawn.sum(axis=1, keepdims=True), pooled - drawn
    rest = second / second.sum(axis=1, keepdims=True)
    both = entr((first + rest) / 2) - (entr(first) + entr(rest)) / 2
    divergence: NDArray[np.float64] = both.sum(axis=1) / np.log(2)
    return divergence
