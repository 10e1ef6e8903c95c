"""Audit of a split: documents with a relative in the training part, and dates out of order."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.splits import (
    APPLICANT,
    CALIBRATION,
    DATE,
    DEDUPLICATED,
    FAMILY,
    NO_PART,
    PARTS,
    TEST,
    TRAIN,
    VAL,
)

RELATIONS = ("equal", "similar", "family", "applicant")
LEAKING = ("similar", "family")  # identical texts are similar too; other inventions of an applicant are not a leak
_PROMISED = {DEDUPLICATED: "similar", FAMILY: "family", APPLICANT: "applicant"}  # by policy
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Relation:
    """Relatives of one kind.

    Attributes:
        name: One of :data:`RELATIONS`.
        groups: Groups of two or more documents.
        documents: Documents in these groups.
        torn: Groups with documents in several parts.
        leaked: For each part except ``train``, the number of documents with a relative in ``train``.
        shares: The same numbers as shares of the part's documents; 0 for an empty part.
    """

    name: str
    groups: int
    documents: int
    torn: int
    leaked: dict[str, int]
    shares: dict[str, float]


@dataclass(frozen=True)
class Audit:
    """Result of the audit of a split.

    Attributes:
        policy: The policy of the split.
        documents: Number of documents in each part.
        relations: One relation of each kind.
        dates: First and last application date of each part (ISO), and the number of documents without a date.
        promise: The guarantee of the policy, in words; None for ``random`` and ``file``.
        broken: Number of violations: groups in several parts, or parts that start before an earlier part ends.
    """

    policy: str
    documents: dict[str, int]
    relations: tuple[Relation, ...]
    dates: dict[str, dict[str, Any]]
    promise: str | None
    broken: int

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as JSON-compatible values."""
        return asdict(self)


def audit_split(
    codes: Mapping[str, Codes], days: NDArray[np.datetime64], parts: NDArray[np.int8], policy: str
) -> Audit:
    """Audit a split.

    Args:
        codes: The group of every document ``(n,)`` for each of :data:`RELATIONS`; negative for a document in no group.
        days: Application dates, ``(n,)``, ``NaT`` if unknown.
        parts: Part codes, ``(n,)``; documents in no part are left out.
        policy: The policy of the split.
    """
    inside = parts != NO_PART
    codes, days, parts = {name: own[inside] for name, own in codes.items()}, days[inside], parts[inside]
    relations = tuple(_relation(name, codes[name], parts) for name in RELATIONS)
    promise, broken = None, 0
    if policy in _PROMISED:
        (own,) = (relation for relation in relations if relation.name == _PROMISED[policy])
        promise, broken = f"no {own.name} documents in two parts", own.torn
    elif policy == DATE:
        promise, broken = "parts in the order of days", _out_of_order(days, parts)
    counts = np.bincount(parts, minlength=len(PARTS)).tolist()
    dates = {name: _dates(days[parts == part]) for part, name in enumerate(PARTS)}
    return Audit(policy, dict(zip(PARTS, counts, strict=True)), relations, dates, promise, broken)


def torn_groups(codes: Codes, parts: NDArray[np.int8]) -> int:
    """Return the number of groups with documents in several parts; see :func:`audit_split`."""
    inside = codes >= 0
    pairs = np.unique(codes[inside] * len(PARTS) + parts[inside]) // len(PARTS)
    return int((np.bincount(pairs) > 1).sum())


def leaked(codes: Codes, parts: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which documents outside ``train`` have a relative in ``train``, ``(n,)``."""
    in_train = parts == TRAIN
    found: NDArray[np.bool_] = (codes >= 0) & ~in_train & np.isin(codes, codes[in_train])
    return found


def _relation(name: str, codes: Codes, parts: NDArray[np.int8]) -> Relation:
    inside = codes >= 0
    sizes = np.bincount(codes[inside])
    out = leaked(codes, parts)
    counts = {PARTS[part]: int((out & (parts == part)).sum()) for part in (VAL, CALIBRATION, TEST)}
    totals = {PARTS[part]: int((parts == part).sum()) for part in (VAL, CALIBRATION, TEST)}
    return Relation(
        name,
        groups=int((sizes > 1).sum()),
        documents=int(sizes[sizes > 1].sum()),
        torn=torn_groups(codes, parts),
        leaked=counts,
        shares={part: count / totals[part] if totals[part] else 0.0 for part, count in counts.items()},
    )


def _out_of_order(days: NDArray[np.datetime64], parts: NDArray[np.int8]) -> int:
    known = ~np.isnat(days)
    broken, last = 0, None
    for part in (TRAIN, CALIBRATION, VAL, TEST):
        own = days[known & (parts == part)]
        if len(own):
            broken += last is not None and bool(own.min() <= last)
            last = own.max()
    return broken


def _dates(days: NDArray[np.datetime64]) -> dict[str, Any]:
    known = days[~np.isnat(days)]
    first, last = (str(known.min()), str(known.max())) if len(known) else (None, None)
    return {"first": first, "last": last, "without": int(len(days) - len(known))}
