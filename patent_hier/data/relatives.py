"""Documents that belong together: of one applicant, one invention, one text. What a split may tear apart or not."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patent_hier.data.applicants import INDIVIDUAL, applicant_groups
from patent_hier.data.audit import torn_groups
from patent_hier.data.corpus import Corpus
from patent_hier.data.near_duplicates import equal_texts, letters, near_duplicates
from patent_hier.data.splits import APPLICANT, DEDUPLICATED, FAMILY
from patent_hier.errors import DataError

Groups = tuple[NDArray[np.intp], list[str]]


def find_groups(corpus: Corpus, policy: str) -> Groups | None:
    """The groups that a split policy keeps together.

    Args:
        corpus: A clean corpus.
        policy: One of the split policies.

    Returns:
        The group of every document ``(n,)``, -1 for one that is alone, and a name for each group that depends on its
        documents only; None for policies without groups.

    Raises:
        DataError: If the corpus lacks what the policy reads.
    """
    if policy == APPLICANT:
        return applicant_groups(corpus.column("applicant").to_numpy())
    if policy == DEDUPLICATED:
        return _named(similar_texts(corpus, equal_documents(corpus)), corpus)
    if policy == FAMILY:
        return _named(families(corpus, equal_documents(corpus)), corpus)
    return None


def refuse_torn(groups: NDArray[np.intp], parts: NDArray[np.int8], policy: str) -> None:
    """Refuse a split that has a group in two parts.

    Raises:
        DataError: With the number of such groups.
    """
    if torn := torn_groups(groups, parts):
        raise DataError(f"the split breaks the promise of its policy {policy}: {torn} groups lie in several parts")


def application_days(corpus: Corpus) -> NDArray[np.datetime64]:
    """Days of application, ``(n,)``; ``NaT`` where unknown."""
    return corpus.column("application_date").to_numpy().astype("datetime64[D]")


def similar_texts(corpus: Corpus, equal: NDArray[np.intp]) -> NDArray[np.intp]:
    """A code for each group of equal or nearly equal texts, ``(n,)``; ``equal`` of :func:`equal_documents`."""
    column = corpus.column("text")
    return near_duplicates(lambda: _texts(corpus), lambda row: str(column[row].as_py()), equal)


def _texts(corpus: Corpus) -> Iterator[str]:
    return chain.from_iterable(corpus.iter_texts())


def equal_documents(corpus: Corpus) -> NDArray[np.intp]:
    """A code for each text, white space and punctuation aside, ``(n,)``."""
    return equal_texts(_texts(corpus))


def has_applicants(corpus: Corpus) -> bool:
    """Whether any document has an applicant."""
    return corpus.column("applicant").null_count < corpus.size


def families(corpus: Corpus, equal: NDArray[np.intp]) -> NDArray[np.intp]:
    """A code for each family, ``(n,)``: documents of one applicant with one title or one text.

    ``equal`` is of :func:`equal_documents`.

    That is how an invention is filed as 发明 and as 实用新型 at once, or again later. Where natural persons are
    recorded under one word, the day of filing must be the same too.

    Raises:
        DataError: If no document has an applicant.
    """
    applicants = [_plain(value) for value in corpus.column("applicant").to_pylist()]
    if not any(applicants):
        raise DataError("families are told by applicants, and no document has one; use another split policy")
    days = corpus.column("application_date").to_pylist()
    owners = [f"{name}|{day}" if name == INDIVIDUAL else name for name, day in zip(applicants, days, strict=True)]
    titles = [letters(title) if title else "" for title in corpus.column("title").to_pylist()]
    by_text = [(owner, code) if owner else None for owner, code in zip(owners, equal.tolist(), strict=True)]
    by_title = [(owner, title) if owner and title else None for owner, title in zip(owners, titles, strict=True)]
    return linked([by_text, by_title])


def linked(keys: Sequence[Sequence[Any]]) -> NDArray[np.intp]:
    """A code for each group of documents that share a key, directly or by a chain, ``(n,)``.

    Args:
        keys: Several columns of ``n`` keys; None is shared with nobody.
    """
    n = len(keys[0])
    rows, columns, offset = [], [], n
    for column in keys:
        codes, distinct = pd.factorize(pd.Series(column, dtype=object))
        present = np.flatnonzero(codes >= 0)
        rows.append(present)
        columns.append(codes[present] + offset)
        offset += len(distinct)
    left, right = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(offset, offset))
    return np.asarray(connected_components(graph, directed=False)[1][:n], dtype=np.intp)


def _plain(name: Any) -> str:
    return unicodedata.normalize("NFKC", name).strip(" ;；\t") if isinstance(name, str) else ""


def _named(codes: NDArray[np.intp], corpus: Corpus) -> Groups:
    """Groups of two or more, each named by the smallest id in it."""
    ids = corpus.document_ids.to_numpy()
    counts = np.bincount(codes)
    shared = np.flatnonzero(counts > 1)
    renumbered = np.full(len(counts), -1, np.intp)
    renumbered[shared] = np.arange(len(shared))
    groups = renumbered[codes]
    inside = np.flatnonzero(groups >= 0)
    names = pd.Series(ids[inside]).groupby(groups[inside]).min()
    return groups, names.astype(str).tolist()
