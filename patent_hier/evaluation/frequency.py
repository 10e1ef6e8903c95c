"""Accuracy by the frequency of the true label in training, because frequent labels dominate every overall score.

There are two divisions. *Groups* divide the classes at shares of the training documents: head, middle and tail. *Bands*
divide the labels of any level at numbers of training documents. Bands suit deep levels, where most labels have few
training documents or none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.data.labels import DocumentLabels
from patent_hier.errors import DataError
from patent_hier.evaluation.result import BandScores, Score
from patent_hier.evaluation.seeds import as_score, spread_of_hits
from patent_hier.taxonomy.tree import NONE

HEAD, MIDDLE, TAIL, UNSEEN_GROUP = "head", "middle", "tail", "unseen"
GROUPS = (HEAD, MIDDLE, TAIL, UNSEEN_GROUP)
BANDS = ("0", "1-4", "5-19", "20+")  # training documents of a label
_FIRST = (1, 5, 20)  # lower bound of each band except the first


def frequency_groups(train_counts: Mapping[str, int]) -> dict[str, str]:
    """Divide classes by their number of training documents: head, middle, tail and unseen.

    A class is *head* if the strictly more frequent classes hold less than 50 % of the training documents, else *middle*
    if they hold less than 90 %, else *tail*. A class without training documents is *unseen*. So the most frequent
    classes join the head until it holds at least half of the documents, then the middle until both hold at least 90 %.
    Equally frequent classes are always in the same group.

    Args:
        train_counts: Number of training documents by class.

    Returns:
        One of :data:`GROUPS` for each class, in the order of ``train_counts``.

    Raises:
        DataError: If a count is negative or all counts are 0.

    Source: the three groups follow the many-, medium- and few-shot classes of Liu et al., "Large-scale long-tailed
    recognition in an open world", CVPR 2019. They divide at 100 and 20 training images. We divide at shares, so that
    the groups mean the same for a corpus of a thousand documents and for one of a million. The shares are our choice.
    """
    total = sum(train_counts.values())
    negative = [name for name, count in train_counts.items() if count < 0]
    if negative or total == 0:
        raise DataError(
            f"classes cannot be grouped: {total} training documents in all, negative counts for class "
            f"{', '.join(negative) or 'none'}; count the documents of the part train"
        )
    counts = train_counts.values()
    before = {count: sum(other for other in counts if other > count) for count in set(counts)}
    return {name: _group(count, before[count], total) for name, count in train_counts.items()}


def accuracy_by_group(targets: NDArray[Any], hits: NDArray[np.bool_], groups: Mapping[str, str]) -> dict[str, Score]:
    """Return the accuracy over the documents of each group of classes.

    Args:
        targets: ``(n,)`` true classes; a class that is missing from ``groups`` has no training documents and is unseen.
        hits: ``(n,)`` whether the prediction is right.
        groups: Group of each class, from :func:`frequency_groups`.

    Returns:
        Accuracy by group in the order of :data:`GROUPS`, with 95 % bootstrap intervals; groups without documents are
        left out.

    Raises:
        DataError: If the lengths differ, there is no document, or a group is not in :data:`GROUPS`.
    """
    if len(targets) != len(hits) or not len(targets):
        raise DataError(f"{len(targets)} targets and {len(hits)} hits cannot be grouped; score the same documents")
    unknown = sorted(set(groups.values()) - set(GROUPS))
    if unknown:
        raise DataError(f"group {unknown[0]!r} is not one of {', '.join(GROUPS)}; use groups from frequency_groups")
    codes, classes = pd.factorize(targets)
    own = np.array([groups.get(name, UNSEEN_GROUP) for name in classes], dtype=object)  # (n_classes,) with support
    by_document = own[codes]
    scores = {}
    for group in GROUPS:
        rows = by_document == group
        if rows.any():
            scores[group] = as_score(spread_of_hits(hits[None, rows], int((own == group).sum())))
    return scores


def training_counts(labels: DocumentLabels, train: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the training documents of every label: documents whose main symbol is the label or lies below it.

    Further symbols do not count, even if a system learns from them, so that a label is in the same band for all
    systems.

    Args:
        labels: Labels of the corpus.
        train: ``(n,)`` whether each document is in ``train``.

    Returns:
        Number of training documents of each label, ``(len(labels.tree),)``.
    """
    paths = labels.main[train]
    counts: NDArray[np.int64] = np.bincount(paths[paths != NONE], minlength=len(labels.tree)).astype(np.int64)
    return counts


def scores_by_band(
    counts: NDArray[np.int64], labels: NDArray[np.integer[Any]], top_1: NDArray[np.bool_], top_5: NDArray[np.bool_]
) -> dict[str, BandScores]:
    """Split the scores of a level by the number of training documents of the true label.

    Args:
        counts: ``(n,)`` number of training documents of each document's true label.
        labels: ``(n,)`` numbers that identify the true labels.
        top_1: ``(n,)`` whether the likeliest label is the true one.
        top_5: ``(n,)`` whether one of the five likeliest labels is the true one.

    Returns:
        Scores by band in the order of :data:`BANDS`, with Wilson intervals; bands without documents are left out.
    """
    place = np.searchsorted(_FIRST, counts, side="right")
    scores = {}
    for band, name in enumerate(BANDS):
        rows = place == band
        if rows.any():
            size = int(rows.sum()), len(np.unique(labels[rows]))
            scores[name] = BandScores(*(Score.of_hits(int(hits[rows].sum()), *size) for hits in (top_1, top_5)))
    return scores


def _group(count: int, before: int, total: int) -> str:
    if count == 0:
        return UNSEEN_GROUP
    if 2 * before < total:  # integer arithmetic, so that a share of exactly one half is exact
        return HEAD
    return MIDDLE if 10 * before < 9 * total else TAIL
