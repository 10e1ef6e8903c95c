"""What programs give as texts: one, or several in any form that can be gone through once."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from patent_hier.data.raw import has_words
from patent_hier.errors import ConfigError, DataError
from patent_hier.sanitize import is_unicode, shown

Texts = str | Iterable[str]
Context = Mapping[str, str | Iterable[str | None]]
_SHOWN = 40  # characters of a value that is no text


def listed(texts: Texts) -> list[str]:
    """All texts as a list.

    Args:
        texts: One text, or any iterable of them: a list, a generator, a pandas Series, a NumPy array of one dimension.

    Raises:
        DataError: If it is none of these, or naming the position of the first item that is no text, from 0.
    """
    if isinstance(texts, str):
        return [str(texts)]
    if isinstance(texts, bytes | bytearray | Mapping) or not isinstance(texts, Iterable):
        raise DataError(f"texts are {_named(texts)}; give a text or a list of texts")
    if (dimensions := getattr(texts, "ndim", 1)) != 1:  # a table would be gone through by the names of its columns
        raise DataError(f"texts have {dimensions} dimensions; give one column or a list of texts")
    found = list(texts)
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f"text {position} is {_named(text)}, not a text; leave it out or repair it")
    return [str(text) for text in found]  # NumPy's own kind of text among them


def checked_context(context: Context, known: Collection[str], size: int) -> dict[str, list[str | None]]:
    """The context of some texts, a value of each column for each text.

    Args:
        context: As in :meth:`patent_hier.inference.classifier.HierarchicalClassifier.predict`.
        known: The columns that a system reads.
        size: Number of texts.

    Raises:
        ConfigError: If it does not read a column.
        DataError: If a column has not a value for each text, or one is no text.
    """
    fields: dict[str, list[str | None]] = {}
    for column, values in context.items():
        if column not in known:
            reads = f"beside the text it reads {', '.join(known)}" if known else "it reads the text alone"
            raise ConfigError(f"context {shown(column)}: the model does not read it; {reads}")
        own: list[str | None] = [values] if isinstance(values, str) else list(values)
        if len(own) != size:
            raise DataError(f"context {column} has {len(own)} values for {size} texts; give one for each, or None")
        for position, value in enumerate(own):
            if not (value is None or (isinstance(value, str) and is_unicode(value))):
                raise DataError(
                    f"context {column}: value {position} is {_named(value)}, not a text; give None for none"
                )
        fields[column] = own
    return fields


def require_text(text: str) -> None:
    """Refuse a text that cannot be classified.

    Raises:
        DataError: If it is no text, has no words or is no Unicode.
    """
    if not isinstance(text, str):
        raise DataError(f"the text is {_named(text)}, not a text; give a string")
    if problem := text_problem(text):
        raise DataError(f"the text {problem}")


def readable(texts: Texts) -> list[str]:
    """All texts as a list, each of which can be classified.

    Raises:
        DataError: As in :func:`listed`, or naming the first text that has no words or is no Unicode.
    """
    found = listed(texts)
    for position, text in enumerate(found):
        if problem := text_problem(text):
            raise DataError(f"text {position} {problem}")
    return found


def text_problem(text: str) -> str | None:
    """Why a text cannot be classified, in a few words; None if it can."""
    if not is_unicode(text):
        return "is not valid Unicode (bytes of another encoding, or half of a character); give it in UTF-8"
    return None if has_words(text) else "has no words; give an abstract or a title"


def _named(value: Any) -> str:
    """A value for a message: itself, if it is short, with its type."""
    if value is None:
        return "None"
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{shown} ({type(value).__name__})"
