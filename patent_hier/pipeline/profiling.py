"""The reference for measuring drift: a profile of the calibration documents, from texts and stored predictions."""

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.data.familiarity import Familiar
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import DENSE_LABELS
from patent_hier.evaluation.profile import Observations, Profile
from patent_hier.evaluation.reference import Hits, Reference
from patent_hier.evaluation.system import positions
from patent_hier.inference.calibration import CALIBRATION
from patent_hier.taxonomy.tree import NONE


def calibration_reference(
    calibrated: NetworkPredictions, truth: NetworkPredictions, corpus: Corpus, familiar: Familiar
) -> Reference:
    """Return the reference that new documents are compared with.

    Args:
        calibrated: A system's predictions for all held-out documents, as returned by ``predict``.
        truth: Predictions for the same documents in the same order, with the corpus's labels as targets.
        corpus: The corpus with their texts.
        familiar: Characters and bigrams known from the training part.
    """
    own = calibrated.select(CALIBRATION)
    rows = positions(own.document_ids, corpus.document_ids.to_numpy(), "the corpus")
    order = np.argsort(rows)
    own, rows = own.take(order), rows[order]
    profile, start, done = Profile.of(own.tree.levels), 0, 0
    for texts in corpus.iter_texts():
        stop = int(np.searchsorted(rows, start + len(texts)))
        chunk = np.arange(done, stop)
        counts = [familiar.count(texts[row - start]) for row in rows[chunk]]
        profile += Profile.of(own.tree.levels, Observations.of_predictions(counts, own.take(chunk)))
        start, done = start + len(texts), stop
    return Reference(familiar.bigrams, profile, _hits(own, truth.select(CALIBRATION).take(order)))


def _hits(own: NetworkPredictions, truth: NetworkPredictions) -> dict[str, Hits]:
    """Count how often the most probable path is right, by level."""
    paths = own.tree.paths(_ends(own))
    found = {}
    for place, level in enumerate(own.tree.levels):
        targets = truth.level(level).targets
        known = targets != None  # noqa: E711 - elementwise
        answers = own.tree.names(paths[:, place])
        if known.any():
            right = int((answers[known] == targets[known]).sum())
            found[level] = Hits(right, int(known.sum()), len(set(targets[known].tolist())))
    return found


def _ends(own: NetworkPredictions) -> NDArray[np.int32]:
    """Return the end of each document's most probable path as tree positions, ``(n,)``; the first one on ties."""
    is_end = np.isin(np.arange(len(own.tree)), own.tree.ends)
    ends, highest = np.full(len(own), own.tree.ends[0], np.int32), np.full(len(own), -np.inf, np.float32)
    rows = np.arange(len(own))
    for scores in own.levels:
        labels, log_prob = scores.best(DENSE_LABELS)
        places = labels + own.tree.span(scores.level).start
        values = np.where((labels != NONE) & is_end[places], log_prob, -np.inf)
        best = values.argmax(axis=1)
        is_better = values[rows, best] > highest
        ends = np.where(is_better, places[rows, best], ends).astype(np.int32)
        highest = np.where(is_better, values[rows, best], highest)
    return ends
