"""Documents that belong together: of one applicant, one invention, one text. What a split may tear apart or not."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from patent_hier.data.audit import torn_groups
from patent_hier.data.corpus import Corpus
from patent_hier.data.near_duplicates import connected, equal_texts, letters, near_duplicates
from patent_hier.data.splits import APPLICANT, DEDUPLICATED, FAMILY
from patent_hier.errors import DataError
from patent_hier.sanitize import nfkc

Groups = tuple[NDArray[np.intp], list[str]]
INDIVIDUAL = "个人"  # natural persons are recorded under this one word: they are not one applicant
_BLANK = " \t\r\n"


class _Some(Corpus):
    """Some documents of a corpus, as a corpus."""

    def __init__(self, corpus: Corpus, rows: NDArray[np.intp]) -> None:
        super().__init__(corpus.folder, corpus.manifest)
        self.rows = rows

    def table(self, names: list[str]) -> pa.Table:
        """Several columns, of these documents."""
        return super().table(names).take(self.rows)

    def iter_texts(self, batch_size: int = 8192) -> Iterator[list[str]]:
        """Their texts, all at once."""
        yield [str(text) for text in self.column("text").to_pylist()]


def find_groups(corpus: Corpus, policy: str | None, rows: NDArray[np.intp] | None = None) -> Groups | None:
    """The groups that a split policy keeps together.

    Args:
        corpus: A clean corpus.
        policy: One of the policies with groups; another, or None, keeps nothing together.
        rows: Positions of the documents that are grouped, ``(n,)``: one part of the split, whose groups are whole; None
            for all.

    Returns:
        The group of every document ``(n,)``, -1 for one that is alone, and a name for each group that depends on its
        documents only; None for policies without groups.

    Raises:
        DataError: If the corpus lacks what the policy reads.
    """
    corpus = corpus if rows is None else _Some(corpus, rows)
    if policy == APPLICANT:
        return applicant_groups(corpus.column("applicant").to_numpy())
    if policy == DEDUPLICATED:
        return _named(similar_texts(corpus, equal_documents(corpus)), corpus)
    if policy == FAMILY:
        return _named(families(corpus, equal_documents(corpus)), corpus)
    return None


def applicant_names(field: object) -> tuple[str, ...]:
    """The applicants that one field names, in one spelling each.

    Args:
        field: Names separated by semicolons (full-width too), perhaps with one at the end; or null.

    Returns:
        The distinct names under NFKC without blanks around them. Natural persons, empty fields and nulls name nobody.
    """
    if not isinstance(field, str):
        return ()
    names = (name.strip(_BLANK) for name in nfkc(field).split(";"))
    return tuple(dict.fromkeys(name for name in names if name and name != INDIVIDUAL))


def applicant_groups(applicants: Sequence[str | None] | NDArray[Any]) -> Groups:
    """Group documents so that no applicant has documents in two groups.

    Two documents are in one group when they share an applicant, or are linked by a chain of joint applications.

    Args:
        applicants: ``n`` fields; see :func:`applicant_names`.

    Returns:
        The group code of every document ``(n,)``, -1 for a document that shares its applicants with no other; and a
        name for each group, the alphabetically first of its applicants.
    """
    raw, spellings = pd.factorize(np.asarray(applicants, dtype=object))  # null: -1, which takes the appended empty name
    leaders = _leaders([applicant_names(field) for field in spellings])
    codes, names = pd.factorize(np.array([*leaders, ""], dtype=object))
    documents = codes[raw]
    shared = (np.bincount(documents, minlength=len(names)) > 1) & (names != "")
    renumbered = np.where(shared, np.cumsum(shared) - 1, -1)
    return renumbered[documents], names[shared].tolist()


def _leaders(fields: list[tuple[str, ...]]) -> list[str]:
    """The smallest name in the group of every field; empty for a field without names."""
    owners = np.repeat(np.arange(len(fields)), [len(names) for names in fields])
    codes, names = pd.factorize(np.array([name for own in fields for name in own], dtype=object))
    groups = connected(owners, codes + len(fields), len(fields) + len(names))
    leaders: dict[int, str] = {}
    for group, name in zip(groups[len(fields) :].tolist(), names, strict=True):
        leaders[group] = min(name, leaders.get(group, name))
    return [leaders.get(group, "") for group in groups[: len(fields)].tolist()]


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
    return near_duplicates(
        lambda: chain.from_iterable(corpus.iter_texts()), lambda row: str(column[row].as_py()), equal
    )


def equal_documents(corpus: Corpus) -> NDArray[np.intp]:
    """A code for each text, white space and punctuation aside, ``(n,)``."""
    return equal_texts(chain.from_iterable(corpus.iter_texts()))


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
    return connected(np.concatenate(rows), np.concatenate(columns), offset)[:n]


def _plain(name: Any) -> str:
    return nfkc(name).strip(" ;；\t") if isinstance(name, str) else ""


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
