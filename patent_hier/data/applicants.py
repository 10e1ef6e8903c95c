"""Who filed what: documents that share an applicant, directly or through joint applications."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

INDIVIDUAL = "个人"  # natural persons are recorded under this one word: they are not one applicant
_BLANK = " \t\r\n"


def applicant_names(field: object) -> tuple[str, ...]:
    """The applicants that one field names, in one spelling each.

    Args:
        field: Names separated by semicolons (full-width too), perhaps with one at the end; or null.

    Returns:
        The distinct names under NFKC without blanks around them. Natural persons, empty fields and nulls name nobody.
    """
    if not isinstance(field, str):
        return ()
    names = (name.strip(_BLANK) for name in unicodedata.normalize("NFKC", field).split(";"))
    return tuple(dict.fromkeys(name for name in names if name and name != INDIVIDUAL))


def applicant_groups(applicants: Sequence[str | None] | NDArray[Any]) -> tuple[NDArray[np.intp], list[str]]:
    """Group documents so that no applicant has documents in two groups.

    Two documents are in one group when they share an applicant, or are linked by a chain of joint applications.

    Args:
        applicants: ``n`` fields; see :func:`applicant_names`.

    Returns:
        The group code of every document ``(n,)``, -1 for a document that shares its applicants with no other; and a
        name for each group, the alphabetically first of its applicants.
    """
    raw, spellings = pd.factorize(np.asarray(applicants, dtype=object))  # null: -1, which takes the appended empty name
    leaders = _linked([applicant_names(field) for field in spellings])
    codes, names = pd.factorize(np.array([*leaders, ""], dtype=object))
    documents = codes[raw]
    shared = (np.bincount(documents, minlength=len(names)) > 1) & (names != "")
    renumbered = np.where(shared, np.cumsum(shared) - 1, -1)
    return renumbered[documents], names[shared].tolist()


def _linked(fields: list[tuple[str, ...]]) -> list[str]:
    """Name the group of every field by the smallest name in it: union-find, where the smaller root wins."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[above]  # path halving
        return name

    for first, *others in filter(None, fields):
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return [root(names[0]) if names else "" for names in fields]
