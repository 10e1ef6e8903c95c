"""Assignment of the documents of a corpus to the parts of a split.

The part of a document depends on its id, its class, its applicant (policy ``applicant``), the seed and the other
documents of the corpus, never on the order of the rows.

First, the number of documents of each class in each part is fixed; then documents are assigned. Numbers: each part's
overall share is exact to within one document and is spread over the classes in proportion to their size (largest
remainder). Even a small class is present in as many parts as it has documents, in the order train, test, val,
calibration: 1 document goes to train, 2 to train and test, 3 to train, test and val, and with 4 or more documents every
part has at least one. Assignment: the documents of a class are ordered by a keyed hash of their ids and assigned by
rank.

Policies with groups (``applicant``, ``deduplicated``, ``family``; see :mod:`patent_hier.data.document_groups`) first
place every group as a whole, the largest first, in the part that would still lack the largest share of what it needs of
the group's classes. Documents that belong to no group then fill the remaining places. Every part therefore has large
and small groups, and stratification is approximate.

Policy ``date`` looks only at dates (:mod:`patent_hier.data.split_dates`). Policy ``file`` uses the given parts
(:mod:`patent_hier.data.given_parts`). If only ``train`` and ``test`` are given, ``val`` and ``calibration`` are taken
from ``train`` in the same way: by class and hash, or, with ``plan.together``, whole groups first.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.data.split_dates import cut_by_date
from patent_hier.data.splits import CALIBRATION, DATE, FILE, NO_PART, PARTS, RANDOM, TEST, TRAIN, VAL, Codes, SplitPlan
from patent_hier.errors import DataError

_BY_NEED = (TRAIN, TEST, VAL, CALIBRATION)  # the order in which the parts receive documents of a small class
_NEARLY = 0.05  # share of all documents: smaller deviations of a part from its requested share are not reported
_EVERY = 3  # documents that a class needs to be in train, test and val
_MAX_BITE = 0.25  # largest share of a part's open places that one group may take, so that none dominates a small part

Keys = NDArray[np.uint64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SplitReport:
    """Counts of a split's documents, classes and groups.

    Attributes:
        documents: Number of documents in each part.
        classes: Number of classes in each part.
        small_classes: Classes that are missing from some part, with their number of documents in each part.
        groups: Number of groups of two or more documents that the policy keeps together; 0 for policies without groups.
        largest_group: Number of documents in the largest group.
        tested_once: Number of classes with a single test document.
    """

    def shares(self, plan: SplitPlan) -> str | None:
        """Return a line on how the shares differ from the requested ones; None if they nearly agree."""
        counts = np.array([self.documents[part] for part in PARTS])
        shares = counts / max(1, counts.sum())
        if np.abs(shares - plan.shares).max() <= _NEARLY:
            return None
        got, asked = (" / ".join(f"{100 * share:.4g}" for share in own) for own in (shares.round(3), plan.shares))
        whole = "groups stay whole, and " if self.groups else ""
        return (
            f"the parts ({', '.join(PARTS)}) have {got} % of the documents instead of {asked} %, because {whole}even a "
            f"small class has a document in each part; {self.tested_once} of {self.classes['test']} classes have a "
            "single test document, so the scores are unreliable"
        )

    documents: dict[str, int]
    classes: dict[str, int]
    small_classes: dict[str, dict[str, int]]
    groups: int
    largest_group: int
    tested_once: int


def assign(
    document_ids: Sequence[str] | NDArray[Any],
    classes: Sequence[str] | NDArray[Any],
    groups: tuple[NDArray[np.intp], list[str]] | None,
    plan: SplitPlan,
    days: NDArray[np.datetime64] | None = None,
    given: Codes | None = None,
) -> tuple[Codes, SplitReport]:
    """Assign every document of the corpus to a part.

    Args:
        document_ids: Distinct document ids, ``n``.
        classes: Labels to stratify by, such as ``A01``, ``n``.
        groups: The group of every document ``(n,)``, -1 for a document that belongs to none, and the names of the
            groups; see :func:`patent_hier.data.document_groups.find_groups`. Required only if the plan keeps groups
            together.
        plan: Policy, shares and seed.
        days: Application dates, ``(n,)``, ``NaT`` if unknown; required only for policy ``date``.
        given: Given part codes, ``(n,)``, :data:`NO_PART` for a document to leave out; required only for policy
            ``file``.

    Returns:
        Part codes ``(n,)``, positions in :data:`PARTS`, in the order of the input; and the report.

    Raises:
        DataError: If ids repeat, a class is missing, lengths differ, or train, test or a requested ``val`` would be
            empty.
        ConfigError: If there are calibration documents but no ``val`` documents.
    """
    ids = np.asarray(document_ids, dtype=object)
    class_codes, names = _class_codes(ids, classes)
    if plan.policy == DATE:
        if days is None or len(days) != len(ids):
            raise DataError(
                "split policy date needs the date of every document; provide the dates or use policy random"
            )
        parts, group_sizes = cut_by_date(days, plan), np.zeros(0, np.int64)
        return parts, _report(parts, class_codes, names, group_sizes, plan)
    if plan.grouping is not None and (groups is None or len(groups[0]) != len(ids)):
        raise DataError(
            f"split policy {plan.policy} needs the group of every document; provide the groups or use policy random"
        )
    rows, shares = np.arange(len(ids)), plan.shares
    parts = np.full(len(ids), TRAIN, dtype=np.int8)
    if plan.policy == FILE:
        if given is None or len(given) != len(ids):
            raise DataError(
                "split policy file needs the part of every document; provide the parts or use policy random"
            )
        parts, shares = given.copy(), _shares_of_train(given, plan)
        rows = np.flatnonzero(given == TRAIN)
    own_groups = None if plan.grouping is None or groups is None else (groups[0][rows], groups[1])
    parts[rows], group_sizes = _cut(ids[rows], class_codes[rows], own_groups, shares, plan.seed)
    return parts, _report(parts, class_codes, names, group_sizes, plan)


def _shares_of_train(given: Codes, plan: SplitPlan) -> NDArray[np.float64]:
    """Return how to divide the documents given to ``train``, ``(4,)``; parts that already have documents get none."""
    shares = np.zeros(len(PARTS))
    for part, share in ((VAL, plan.val), (CALIBRATION, plan.calibration)):
        shares[part] = 0 if (given == part).any() else share
    if shares[CALIBRATION] or (given == CALIBRATION).any():
        plan.refuse_without_planning(bool(shares[VAL] or (given == VAL).any()))
    shares[TRAIN] = 1 - shares.sum()
    return shares


def _cut(
    ids: NDArray[Any],
    class_codes: NDArray[np.intp],
    groups: tuple[NDArray[np.intp], list[str]] | None,
    shares: NDArray[np.float64],
    seed: int,
) -> tuple[Codes, Counts]:
    """Assign whole groups first, then the documents that belong to no group.

    Returns:
        The parts ``(n,)``, and the number of documents in each non-empty group.
    """
    _, own = np.unique(class_codes, return_inverse=True)
    need = _needs(np.bincount(own).astype(np.int64), shares)
    parts = np.full(len(ids), TRAIN, dtype=np.int8)
    alone = np.ones(len(ids), dtype=bool)
    group_sizes = np.zeros(0, dtype=np.int64)
    if groups is not None:
        alone = groups[0] < 0
        present, codes = np.unique(groups[0][~alone], return_inverse=True)
        group_sizes = np.bincount(codes, minlength=len(present)).astype(np.int64)
        names = [groups[1][group] for group in present.tolist()]
        order = np.lexsort((*_hash(names, seed).T, -group_sizes))
        group_parts, need = _place(codes, own[~alone], order, need, shares)
        parts[~alone] = group_parts[codes]
    free = own[alone]
    counts = share_out(need, np.bincount(free, minlength=len(need)).astype(np.int64))
    parts[alone] = _deal(free, _hash(ids[alone], seed), counts)
    return parts, group_sizes


def _class_codes(ids: NDArray[Any], classes: Sequence[str] | NDArray[Any]) -> tuple[NDArray[np.intp], list[str]]:
    if len(classes) != len(ids):
        raise DataError(f"{len(ids)} document ids but {len(classes)} classes; they must be columns of one corpus")
    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        raise DataError(f"document id {ids[repeated][0]!r} occurs twice; prepare the corpus again")
    codes, names = pd.factorize(np.asarray(classes, dtype=object), sort=True)
    if (codes < 0).any():
        raise DataError(f"document {ids[codes < 0][0]!r} has no class; prepare the corpus again")
    return codes, [str(name) for name in names]


def _hash(texts: Iterable[str], seed: int) -> Keys:
    """Return 128-bit keyed hashes ``(n, 2)``, long enough that two documents never tie."""
    digests = bytearray()  # one object; joining would need one for each text
    for text in texts:
        digests += hashlib.blake2b(f"{seed}|{text}".encode(), digest_size=16).digest()
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def _needs(sizes: Counts, shares: NDArray[np.float64]) -> Counts:
    """Return the wanted number of documents of each class in each part, ``(n_classes, 4)``; rows sum to class sizes."""
    need = np.zeros((len(sizes), len(PARTS)), dtype=np.int64)
    rest = sizes.copy()
    n_documents = int(sizes.sum())
    present = [part for part in _BY_NEED if shares[part] > 0]
    for rank, part in enumerate(present[1:], start=1):
        still_to_serve = sum((sizes > later).astype(np.int64) for later in range(rank + 1, len(present)))
        lower = (sizes > rank).astype(np.int64)
        upper = np.maximum(rest - 1 - still_to_serve, 0)
        wanted = int(np.floor(n_documents * shares[part] + 0.5))
        need[:, part] = apportion(sizes, lower, upper, wanted)
        rest -= need[:, part]
    need[:, TRAIN] = rest
    return need


def apportion(weights: Counts, lower: Counts, upper: Counts, total: int) -> Counts:
    """Split a total in proportion to weights, within bounds, by the method of largest remainders.

    Bisection finds the common factor of all weights; then the largest remainders are rounded up, the first of equal
    ones first. The bounds take precedence: a total outside their sums is moved to the nearer sum.

    Args:
        weights: Positive weights, ``(n,)``.
        lower: Smallest allowed counts, ``(n,)``.
        upper: Largest allowed counts, ``(n,)``, ``lower <= upper``.
        total: Wanted sum of the counts.

    Returns:
        The counts, ``(n,)``.
    """
    total = int(np.clip(total, lower.sum(), upper.sum()))
    low, high = 0.0, float(np.max(upper / weights, initial=0.0))
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(middle * weights, lower, upper).sum() < total:
            low = middle
        else:
            high = middle
    quota = np.clip(high * weights, lower, upper).round(6)  # 6 decimals hide the error of the bisection
    counts: Counts = np.floor(quota).astype(np.int64)
    remainder = np.where(counts < upper, quota - counts, -1.0)
    counts[np.argsort(-remainder, kind="stable")[: total - counts.sum()]] += 1
    return counts


def share_out(need: Counts, available: Counts) -> Counts:
    """Distribute each row's supply over the columns in proportion to their need.

    Args:
        need: Needs, ``(n_rows, n_columns)``; each row sums to what the row can supply. A column with a negative need, a
            surplus, gets nothing.
        available: Supplies, ``(n_rows,)``.

    Returns:
        Counts ``(n_rows, n_columns)`` whose rows sum to ``available``.
    """
    positive = np.maximum(need, 0)
    quota = positive * (available / np.maximum(positive.sum(axis=1), 1))[:, None]
    counts = np.floor(quota.round(6)).astype(np.int64)
    rank = np.argsort(np.argsort(counts - quota, axis=1, kind="stable"), axis=1)
    settled: Counts = counts + (rank < (available - counts.sum(axis=1))[:, None])
    return settled


def _place(
    groups: NDArray[np.intp],
    class_codes: NDArray[np.intp],
    order: NDArray[np.intp],
    need: Counts,
    shares: NDArray[np.float64],
) -> tuple[Codes, Counts]:
    """Place whole groups in the given order.

    Returns:
        The part of every group, and the number of documents of each class that each part still needs (negative if it
        has too many).
    """
    n_classes = len(need)
    cells, counts = np.unique(groups * n_classes + class_codes, return_counts=True)
    starts = np.searchsorted(cells, np.arange(len(order) + 1) * n_classes).tolist()
    cell_classes, cell_counts = (cells % n_classes).tolist(), counts.tolist()
    wanted = [part for part in range(len(PARTS)) if shares[part] > 0]
    # Plain lists: the loop uses only a few numbers per group, so NumPy's call overhead would dominate.
    filled_scale = (1 / (need.sum(axis=1, keepdims=True) * np.where(shares > 0, shares, 1))).tolist()
    still, open_ = need.tolist(), need.sum(axis=0).tolist()
    parts = np.zeros(len(order), dtype=np.int8)
    for group in order.tolist():
        own = range(starts[group], starts[group + 1])
        size = sum(cell_counts[i] for i in own)
        fitting = [part for part in wanted if size <= _MAX_BITE * open_[part]]
        if fitting:
            need_of = [(cell_counts[i], still[cell_classes[i]], filled_scale[cell_classes[i]]) for i in own]
            part = max(fitting, key=lambda p: sum(k * (left[p] - k) * scale[p] for k, left, scale in need_of))
        else:
            part = max(wanted, key=open_.__getitem__)
        for i in own:
            still[cell_classes[i]][part] -= cell_counts[i]
        open_[part] -= size
        parts[group] = part
    return parts, np.array(still, dtype=np.int64).reshape(need.shape)


def _deal(class_codes: NDArray[np.intp], keys: Keys, counts: Counts) -> Codes:
    """Cut each class, ordered by its documents' keys, into the given counts of test, val, calibration and train."""
    order = np.lexsort((keys[:, 1], keys[:, 0], class_codes))
    cut = [TEST, VAL, CALIBRATION, TRAIN]
    parts = np.empty(len(class_codes), dtype=np.int8)
    parts[order] = np.repeat(np.tile(np.array(cut, dtype=np.int8), len(counts)), counts[:, cut].ravel())
    return parts


def _report(
    parts: Codes, class_codes: NDArray[np.intp], names: list[str], group_sizes: Counts, plan: SplitPlan
) -> SplitReport:
    inside = parts != NO_PART
    cells = np.bincount(class_codes[inside] * len(PARTS) + parts[inside], minlength=len(names) * len(PARTS))
    table = cells.reshape(len(names), len(PARTS))
    for part in (TRAIN, VAL, TEST):
        if not table[:, part].any() and (part != VAL or plan.val):
            raise DataError(
                f"split policy {plan.policy} puts none of the {len(parts)} documents in {PARTS[part]}; "
                f"{_way_out(table.sum(axis=1), plan)}"
            )
    wanted = (plan.shares > 0) | table.any(axis=0)
    lacking = (table[:, wanted] == 0).any(axis=1) & table.any(axis=1)
    return SplitReport(
        documents=dict(zip(PARTS, table.sum(axis=0).tolist(), strict=True)),
        classes=dict(zip(PARTS, (table > 0).sum(axis=0).tolist(), strict=True)),
        small_classes={
            names[row]: dict(zip(PARTS, table[row].tolist(), strict=True)) for row in np.flatnonzero(lacking)
        },
        groups=len(group_sizes),
        largest_group=int(group_sizes.max(initial=0)),
        tested_once=int((table[:, TEST] == 1).sum()),
    )


def _way_out(sizes: Counts, plan: SplitPlan) -> str:
    """Return advice for a split with an empty part, given the number of documents of each class."""
    few = (
        f"no class has {_EVERY} documents, the minimum for being in train, test and val; "
        if (sizes.max(initial=0) < _EVERY)
        else ""
    )
    return few + ("use more documents" if plan.policy == RANDOM or few else "use more documents or policy random")
