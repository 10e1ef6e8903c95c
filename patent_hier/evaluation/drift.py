"""Detection of drift: two profiles are compared measure by measure, by the size of the difference and its p-value.

The size is the Jensen-Shannon distance of the two histograms, 0 to 1, after subtracting the divergence expected by
chance. Without this correction, a few hundred documents over a hundred classes would look far from any reference. The
p-value comes from a permutation test on the same divergence, with Holm's adjustment over the measures. An alarm
requires both a large distance and a small p-value: with many documents any difference is significant, and documents of
one applicant or week are not independent, so the p-value alone is not enough.

The minimum distances were chosen on ``val`` of 31,498 gazette titles, split by applicant, against 1,416 calibration
documents of a linear model. In 60 samples of 500 documents drawn one by one, the largest distance was 0.106
(``labels.class``), and 0.097 for the other measures. In 60 samples of 500 documents drawn as whole applicants, it was
0.21 for the labels of the class level, 0.16 for those of the section level, and 0.13 for the other measures; in 15 of
these samples some p-value was below 0.01. A distance of 0.15 corresponds to a population stability index of about 0.12,
a distance of 0.25 to about 0.35.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from patent_hier.evaluation.profile import Profile, measures_of
from patent_hier.evaluation.significance import holm

LEAST_DOCUMENTS = 100  # fewer documents are described but raise no alarm
LARGEST_P = 0.01
_RESAMPLES = 4_999  # enough for p below LARGEST_P after Holm's adjustment over up to 49 measures
_FEW_RESAMPLES = 499  # used if only the distance is reported
_RARE = 5  # labels with fewer documents in both profiles together are merged
LABELS = "labels"
_LEAST_DISTANCE, _LEAST_OF_LABELS = 0.15, 0.25  # labels depend more on the applicants than the other measures do


@dataclass(frozen=True)
class Shift:
    """The difference between the documents and the reference in one measure.

    Attributes:
        measure: ``characters``, ``bigrams``, ``latin`` (shares of a text), ``length`` (characters), or ``confidence.``
            or ``labels.`` followed by a level.
        before: Mean of the reference; None for labels.
        now: Mean of the documents; None for labels, and if there is no data for a mean.
        distance: Jensen-Shannon distance of the two distributions, corrected for chance, 0 to 1.
        least: Minimum distance for an alarm.
        p_value: P-value of the permutation test, after Holm's adjustment; None for fewer than :data:`LEAST_DOCUMENTS`
            documents.
    """

    measure: str
    before: float | None
    now: float | None
    distance: float
    least: float
    p_value: float | None

    @property
    def is_alarm(self) -> bool:
        """Whether the difference from the reference is both large and significant."""
        return self.p_value is not None and self.p_value < LARGEST_P and self.distance >= self.least


def compare(reference: Profile, own: Profile, seed: int = 0) -> list[Shift]:
    """Compare two profiles in every measure.

    Args:
        reference: Profile of the calibration documents.
        own: Profile of the new documents, one or more.
        seed: Seed of the permutations; the same seed gives the same result.

    Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1),
    1991; Endres and Schindelin, "A new metric for probability distributions", IEEE Transactions on Information Theory
    49(7), 2003.
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
    """Return the number of documents with each label in both profiles; rare labels are merged."""
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
    """Return the distance of two histograms and its p-value."""
    pooled = before + now
    pooled, now = pooled[pooled > 0], now[pooled > 0]
    drawn = rng.multivariate_hypergeometric(pooled, int(now.sum()), size=resamples, method="marginals")
    own = float(_divergence(pooled, now[None])[0])
    chance = _divergence(pooled, drawn)
    p_value = (1 + int((chance >= own - 1e-12).sum())) / (resamples + 1)
    return float(np.sqrt(max(0.0, own - float(chance.mean())))), p_value


def _divergence(pooled: NDArray[np.int64], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence between drawn documents ``(m, n_bins)`` and the rest, in bits, ``(m,)``."""
    first, second = drawn / drawn.sum(axis=1, keepdims=True), pooled - drawn
    rest = second / second.sum(axis=1, keepdims=True)
    both = entr((first + rest) / 2) - (entr(first) + entr(rest)) / 2
    divergence: NDArray[np.float64] = both.sum(axis=1) / np.log(2)
    return divergence
