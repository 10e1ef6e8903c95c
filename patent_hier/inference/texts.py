"""Texts and context from calling programs: one text, or several in any iterable."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from patent_hier.data.raw import has_words
from patent_hier.errors import ConfigError, DataError
from patent_hier.sanitize import is_unicode, shown

Texts = str | Iterable[str]
Context = Mapping[str, str | Iterable[str | None]]
_SHOWN = 40  # characters shown of a value that is not a string


def listed(texts: Texts) -> list[str]:
    """Return all texts as a list.

    Args:
        texts: One text, or any iterable of texts: a list, a generator, a pandas Series, a one-dimensional NumPy array.

    Raises:
        DataError: If the argument is none of these, or an item is not a string; the message gives the item's position,
            from 0.
    """
    if isinstance(texts, str):
        return [str(texts)]
    if isinstance(texts, bytes | bytearray | Mapping) or not isinstance(texts, Iterable):
        raise DataError(f"texts is {_named(texts)}; pass a string or a list of strings")
    if (dimensions := getattr(texts, "ndim", 1)) != 1:  # iterating over a table would yield its column names
        raise DataError(f"texts has {dimensions} dimensions; pass one column or a list of strings")
    found = list(texts)
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f"text {position} is {_named(text)}, not a string; remove or correct it")
    return [str(text) for text in found]  # converts NumPy strings too


def checked_context(context: Context, known: Collection[str], size: int) -> dict[str, list[str | None]]:
    """Return the context of some texts, with one value per text in each column.

    Args:
        context: As in :meth:`patent_hier.inference.classifier.HierarchicalClassifier.predict`.
        known: Columns that the system reads.
        size: Number of texts.

    Raises:
        ConfigError: If the system does not read a column.
        DataError: If a column does not have one value per text, or a value is not a string.
    """
    fields: dict[str, list[str | None]] = {}
    for column, values in context.items():
        if column not in known:
            reads = f"besides the text it reads {', '.join(known)}" if known else "it reads only the text"
            raise ConfigError(f"context {shown(column)} is not read by the model; {reads}")
        own: list[str | None] = [values] if isinstance(values, str) else list(values)
        if len(own) != size:
            raise DataError(f"context {column} has {len(own)} values for {size} texts; pass one value or None per text")
        for position, value in enumerate(own):
            if not (value is None or (isinstance(value, str) and is_unicode(value))):
                raise DataError(
                    f"context {column}: value {position} is {_named(value)}, not a string; pass None for an unknown "
                    "value"
                )
        fields[column] = own
    return fields


def require_text(text: str) -> None:
    """Raise an error if a text cannot be classified.

    Raises:
        DataError: If the text is not a string, contains no words or is not valid Unicode.
    """
    if not isinstance(text, str):
        raise DataError(f"the text is {_named(text)}, not a string; pass a string")
    if problem := text_problem(text):
        raise DataError(f"the text {problem}")


def readable(texts: Texts) -> list[str]:
    """Return all texts as a list, after checking that each can be classified.

    Raises:
        DataError: As in :func:`listed`, or if a text contains no words or is not valid Unicode; the message gives its
            position.
    """
    found = listed(texts)
    for position, text in enumerate(found):
        if problem := text_problem(text):
            raise DataError(f"text {position} {problem}")
    return found


def text_problem(text: str) -> str | None:
    """Return a phrase that explains why a text cannot be classified; None if it can."""
    if not is_unicode(text):
        return "is not valid Unicode (bytes in another encoding, or half a surrogate pair); provide it in UTF-8"
    return None if has_words(text) else "has no words; provide an abstract or a title"


def _named(value: Any) -> str:
    """Return a value's representation for a message, shortened if long, with its type."""
    if value is None:
        return "None"
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{shown} ({type(value).__name__})"
