"""What is known of a document beside its text, such as its applicant: in one string with the text.

A *document* is its text and, for each column of context that it has a value of, :data:`SEPARATOR` and ``column=value``.
No text holds the separator, which is white space, as :func:`patent_hier.data.raw.normalise` leaves only blanks. So
documents go wherever texts go, and each reader takes the parts that it knows.
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
    """A document's text, without its context."""
    return document.partition(SEPARATOR)[0]


def context_value(column: str, field: str | None) -> str:
    """A field of context as models read it; empty where it says nothing.

    Applicants are named by :func:`patent_hier.data.document_groups.applicant_names`: natural persons, who are
    recorded under one word, are none.
    """
    if field is None:
        return ""
    value = normalise(field)
    if column == APPLICANT:
        return ";".join(applicant_names(value))
    return "" if is_placeholder(value) else value


def join_context(text: str, fields: Mapping[str, str | None]) -> str:
    """A document of a normalised text and its fields of context, by column."""
    values = ((column, context_value(column, field)) for column, field in fields.items())
    return text + "".join(f"{SEPARATOR}{column}={value}" for column, value in values if value)


def iter_documents(corpus: Corpus, columns: Collection[str]) -> Iterator[list[str]]:
    """The documents of a corpus in its order, in batches, with some columns as their context.

    Raises:
        ArtifactError: If the corpus is damaged.
    """
    for batch in corpus.iter_columns(["text", *columns]):
        yield _joined(batch.to_pydict(), columns)


def documents_at(corpus: Corpus, columns: Collection[str], rows: NDArray[np.intp]) -> list[str]:
    """The documents at some rows of a corpus, in their order, with some columns as their context.

    Raises:
        ArtifactError: If the corpus is damaged.
    """
    return _joined(corpus.table(["text", *columns]).take(rows).to_pydict(), columns)


def _joined(table: Mapping[str, list[str | None]], columns: Collection[str]) -> list[str]:
    fields = zip(*(table[column] for column in columns), strict=True) if columns else repeat(())
    pairs = zip(map(str, table["text"]), fields, strict=False)
    return [join_context(text, dict(zip(columns, own, strict=True))) for text, own in pairs]


def missing_context(corpus: Corpus, columns: Collection[str]) -> dict[str, int]:
    """How many documents have no value of each column."""
    counts = {}
    for column in columns:
        fields = Counter(corpus.column(column).to_pylist())
        counts[column] = sum(count for field, count in fields.items() if not context_value(column, field))
    return counts
