"""Context of a document, such as its applicant, in one string with the text.

A *document* string is the text followed by :data:`SEPARATOR` and ``column=value`` for each context column that has a
value. No text contains the separator: it is white space, and :func:`patent_hier.data.raw.normalise` leaves only blanks.
Documents can therefore be passed around like plain texts, and each reader uses the parts that it knows.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.data.document_groups import applicant_names
from patent_hier.data.raw import normalise
from patent_hier.data.texts import is_placeholder
from patent_hier.settings.data import APPLICANT

SEPARATOR = "\x1f"  # ASCII's unit separator


def text_of(document: str) -> str:
    """Return the text of a document, without its context."""
    return document.partition(SEPARATOR)[0]


def context_value(column: str, field: str | None) -> str:
    """Return a context field as models read it; empty if it carries no information.

    :func:`patent_hier.data.document_groups.applicant_names` extracts applicants; natural persons, who are recorded
    under one generic word, are left out.
    """
    if field is None:
        return ""
    value = normalise(field)
    if column == APPLICANT:
        return ";".join(applicant_names(value))
    return "" if is_placeholder(value) else value


def join_context(text: str, fields: Mapping[str, str | None]) -> str:
    """Return the document string of a normalised text and its context fields by column."""
    values = ((column, context_value(column, field)) for column, field in fields.items())
    return text + "".join(f"{SEPARATOR}{column}={value}" for column, value in values if value)


def iter_documents(corpus: Corpus, columns: Collection[str]) -> Iterator[list[str]]:
    """Yield the documents of a corpus in order, in batches, with the given columns as context.

    Raises:
        ArtifactError: If the corpus is damaged.
    """
    for batch in corpus.iter_columns(["text", *columns]):
        yield _joined(batch.to_pydict(), columns)


def documents_at(corpus: Corpus, columns: Collection[str], rows: NDArray[np.intp]) -> list[str]:
    """Return the documents at the given rows of a corpus, in that order, with the given columns as context.

    Raises:
        ArtifactError: If the corpus is damaged.
    """
    return _joined(corpus.table(["text", *columns]).take(rows).to_pydict(), columns)


def _joined(table: Mapping[str, list[str | None]], columns: Collection[str]) -> list[str]:
    fields = zip(*(table[column] for column in columns), strict=True) if columns else repeat(())
    pairs = zip(map(str, table["text"]), fields, strict=False)
    return [join_context(text, dict(zip(columns, own, strict=True))) for text, own in pairs]


def missing_context(corpus: Corpus, columns: Collection[str]) -> dict[str, int]:
    """Return the number of documents without a value, for each column."""
    counts = {}
    for column in columns:
        fields = Counter(corpus.column(column).to_pylist())
        counts[column] = sum(count for field, count in fields.items() if not context_value(column, field))
    return counts
