"""Documents with several labels, scored at random at one level, and the same written as plain sets."""

from types import SimpleNamespace

import numpy as np

from patent_hier.data.labels import document_labels
from tests.trees import network, tree_of

UNSEEN = ("Z98", "Z99")  # labels of documents that no network knows


def made_up(n, n_labels, seed=0, parts=None, ties=False):
    """One level, ``n`` documents of one to three labels, some of them unseen; scores lean towards the truth.

    Returns:
        ``network``; its documents' ``labels``; ``sets``, of codes; ``log_prob`` by code for each document.
    """
    rng = np.random.default_rng(seed)
    codes = [f"A{k:03}" for k in range(n_labels)]
    tree = tree_of([(code,) for code in codes])
    sets = [sorted(set(rng.choice([*codes, *UNSEEN], rng.integers(1, 4)))) for _ in range(n)]
    logits = rng.normal(0, 2, (n, n_labels)) + [[3.0 * (code in own) for code in codes] for own in sets]
    if ties:
        logits = np.round(logits)
    joint = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    main = [(own[rng.integers(len(own))],) for own in sets]
    further = [[(code,) for code in own if (code,) != first] for own, first in zip(sets, main, strict=True)]
    labels = document_labels([np.array([code for (code,) in main], object)], further, tree.levels)
    scores = [dict(zip(codes, row, strict=True)) for row in joint.tolist()]
    own = network("shared", tree, joint, main, parts)
    return SimpleNamespace(network=own, labels=labels, sets=[set(own) for own in sets], log_prob=scores, codes=codes)


def ranked(scores):
    """Return codes, the most probable first; ties go to the first code."""
    return sorted(scores, key=lambda code: (-scores[code], code))


def named(scores, threshold):
    """Return the set for a threshold: the best label and all others at or above the threshold, at most 20."""
    order = ranked(scores)[:20]
    return {order[0], *(code for code in order if scores[code] >= np.log(threshold))}


def as_matrix(sets, codes):
    """A row of 0 and 1 for each set."""
    return np.array([[int(code in own) for code in codes] for own in sets])
