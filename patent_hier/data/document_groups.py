"""Groups of documents that share an applicant, an invention or a text, and that a split policy keeps together."""

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
INDIVIDUAL = "个人"  # the word recorded for all natural persons, who are not one applicant
_BLANK = " \t\r\n"


class _Some(Corpus):
    """A subset of the documents of a corpus, usable as a corpus."""

    def __init__(self, corpus: Corpus, rows: NDArray[np.intp]) -> None:
        super().__init__(corpus.folder, corpus.manifest)
        self.rows = rows

    def table(self, names: list[str]) -> pa.Table:
        """Return several columns of these documents."""
        return super().table(names).take(self.rows)

    def iter_texts(self, batch_size: int = 8192) -> Iterator[list[str]]:
        """Yield the texts of these documents, all in one batch."""
        yield [str(text) for text in self.column("text").to_pylist()]


def find_groups(corpus: Corpus, policy: str | None, rows: NDArray[np.intp] | None = None) -> Groups | None:
    """Return the groups that a split policy keeps together.

    Args:
        corpus: A clean corpus.
        policy: A policy with groups; any other policy, or None, keeps nothing together.
        rows: Positions of the documents to group, ``(n,)``, such as one part of the split, which contains whole groups;
            None for all documents.

    Returns:
        The group of every document ``(n,)``, -1 for a document that belongs to none, and a name for each group that
        depends only on its documents; None for policies without groups.

    Raises:
        DataError: If the corpus lacks the data that the policy needs.
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
    """Return the applicants named in a field, each in one spelling.

    Args:
        field: Names separated by semicolons (also full-width), possibly with a trailing one; or null.

    Returns:
        The distinct names in NFKC without surrounding blanks; empty for natural persons, empty fields and nulls.
    """
    if not isinstance(field, str):
        return ()
    names = (name.strip(_BLANK) for name in nfkc(field).split(";"))
    return tuple(dict.fromkeys(name for name in names if name and name != INDIVIDUAL))


def applicant_groups(applicants: Sequence[str | None] | NDArray[Any]) -> Groups:
    """Group documents so that no applicant has documents in two groups.

    Two documents are in the same group if they share an applicant or are linked by a chain of joint applications.

    Args:
        applicants: Applicant fields, ``n``; see :func:`applicant_names`.

    Returns:
        The group code of every document ``(n,)``, -1 for a document that shares no applicant with another; and a
        name for each group, which is the alphabetically first of its applicants.
    """
    raw, spellings = pd.factorize(np.asarray(applicants, dtype=object))  # null: -1, which selects the appended ""
    leaders = _leaders([applicant_names(field) for field in spellings])
    codes, names = pd.factorize(np.array([*leaders, ""], dtype=object))
    documents = codes[raw]
    shared = (np.bincount(documents, minlength=len(names)) > 1) & (names != "")
    renumbered = np.where(shared, np.cumsum(shared) - 1, -1)
    return renumbered[documents], names[shared].tolist()


def _leaders(fields: list[tuple[str, ...]]) -> list[str]:
    """Return the alphabetically first name in the group of every field; empty for a field without names."""
    owners = np.repeat(np.arange(len(fields)), [len(names) for names in fields])
    codes, names = pd.factorize(np.array([name for own in fields for name in own], dtype=object))
    groups = connected(owners, codes + len(fields), len(fields) + len(names))
    leaders: dict[int, str] = {}
    for group, name in zip(groups[len(fields) :].tolist(), names, strict=True):
        leaders[group] = min(name, leaders.get(group, name))
    return [leaders.get(group, "") for group in groups[: len(fields)].tolist()]


def refuse_torn(groups: NDArray[np.intp], parts: NDArray[np.int8], policy: str) -> None:
    """Refuse a split with a group in several parts.

    Raises:
        DataError: If there is such a group; the message gives their number.
    """
    if torn := torn_groups(groups, parts):
        raise DataError(
            f"the split violates its policy {policy}: {torn} groups are spread over several parts; report this as a bug"
        )


def application_days(corpus: Corpus) -> NDArray[np.datetime64]:
    """Return the application dates, ``(n,)``; ``NaT`` if unknown."""
    return corpus.column("application_date").to_numpy().astype("datetime64[D]")


def similar_texts(corpus: Corpus, equal: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a group code for each text, ``(n,)``, shared by near duplicates.

    Args:
        corpus: A clean corpus.
        equal: Codes from :func:`equal_documents`.
    """
    column = corpus.column("text")
    return near_duplicates(
        lambda: chain.from_iterable(corpus.iter_texts()), lambda row: str(column[row].as_py()), equal
    )


def equal_documents(corpus: Corpus) -> NDArray[np.intp]:
    """Return a code for each text, ``(n,)``, ignoring case, white space and punctuation."""
    return equal_texts(chain.from_iterable(corpus.iter_texts()))


def has_applicants(corpus: Corpus) -> bool:
    """Return whether any document has an applicant."""
    return corpus.column("applicant").null_count < corpus.size


def families(corpus: Corpus, equal: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a family code for each document, ``(n,)``: documents of one applicant with the same title or text.

    This finds inventions filed both as 发明 and as 实用新型, at once or later. For natural persons, who are all
    recorded under one word, the filing date must also be the same.

    Args:
        corpus: A clean corpus.
        equal: Codes from :func:`equal_documents`.

    Raises:
        DataError: If no document has an applicant.
    """
    applicants = [_plain(value) for value in corpus.column("applicant").to_pylist()]
    if not any(applicants):
        raise DataError(
            "families are identified by their applicants, but no document has one; use another split policy"
        )
    days = corpus.column("application_date").to_pylist()
    owners = [f"{name}|{day}" if name == INDIVIDUAL else name for name, day in zip(applicants, days, strict=True)]
    titles = [letters(title) if title else "" for title in corpus.column("title").to_pylist()]
    by_text = [(owner, code) if owner else None for owner, code in zip(owners, equal.tolist(), strict=True)]
    by_title = [(owner, title) if owner and title else None for owner, title in zip(owners, titles, strict=True)]
    return linked([by_text, by_title])


def linked(keys: Sequence[Sequence[Any]]) -> NDArray[np.intp]:
    """Return a group code for each document, ``(n,)``; documents linked by shared keys have the same code.

    Args:
        keys: Several columns of ``n`` keys; None matches no other key.
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
    """Return the groups of two or more documents, each named after its smallest id."""
    ids = corpus.document_ids.to_numpy()
    counts = np.bincount(codes)
    shared = np.flatnonzero(counts > 1)
    renumbered = np.full(len(counts), -1, np.intp)
    renumbered[shared] = np.arange(len(shared))
    groups = renumbered[codes]
    inside = np.flatnonzero(groups >= 0)
    names = pd.Series(ids[inside]).groupby(groups[inside]).min()
    return groups, names.astype(str).tolist()
