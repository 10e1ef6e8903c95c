"""Positions of tokens, words and n-grams in a text, in characters, for views that highlight them.

Readers change a text before they split it: they lower its case (``İ`` becomes two characters), decompose it (``が``
loses its mark, a Hangul syllable becomes three letters) and replace runs of white space by one space. The places here
always refer to the original text, start inclusive and end exclusive, in code points.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.segmentation import cut
from patent_hier.features.special_tokens import mask_token
from patent_hier.features.wordpiece import WordPieceReader, load_tokenizer
from patent_hier.features.words import WordReader

Places = NDArray[np.int64]  # (n, 2): start and end; equal for tokens that cover no part of the text
_WHITE_SPACE = re.compile(r"\s\s+")  # as in scikit-learn's ``CountVectorizer`` with ``analyzer="char"``


@dataclass(frozen=True, eq=False)
class PlacedTokens:
    """The tokens that a network reads of one text.

    Attributes:
        ids: Token ids, ``(n,)``, as the reader's ``encode`` returns them: truncated to its ``max_length``.
        places: Start and end of each token, ``(n, 2)``; equal for [CLS], [SEP] and the token of an empty text.
        neutral: Id of a token without content: [MASK], else padding; None if the reader has neither.
    """

    ids: NDArray[np.int64]
    places: Places
    neutral: int | None


def place_tokens(reader: WordPieceReader | WordReader, text: str) -> PlacedTokens:
    """Return the token ids of one text and their places.

    Args:
        reader: Reader of a network.
        text: Any text.

    Raises:
        DataError: If the text contains half of a surrogate pair and the reader uses word pieces.
    """
    return _place_pieces(reader, text) if isinstance(reader, WordPieceReader) else _place_words(reader, text)


def _place_pieces(reader: WordPieceReader, text: str) -> PlacedTokens:
    tokenizer = load_tokenizer(reader.files, reader.max_length)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"character {error.start} of the text is {text[error.start]!r}, half of a surrogate pair, which tokenizers "
            "cannot read; remove it"
        ) from error
    encoding = tokenizer.encode(text)
    mask = mask_token(tokenizer, reader.files.folder)
    neutral = reader.files.config.get("pad_token_id") if mask is None else mask
    return PlacedTokens(np.array(encoding.ids, np.int64), _places(encoding.offsets), neutral)


def _place_words(reader: WordReader, text: str) -> PlacedTokens:
    lower = lowered(text)
    units = list(lower.text) if reader.unit == "chars" else cut(lower.text)
    ends = np.cumsum([len(unit) for unit in units], dtype=np.int64)
    kept = [
        (int(lower.starts[end - len(unit)]), int(lower.ends[end - 1]))
        for unit, end in zip(units, ends.tolist(), strict=True)
        if not unit.isspace()
    ][: reader.max_length]
    return PlacedTokens(reader.encode([text])[0].astype(np.int64), _places(kept or [(0, 0)]), reader.pad_id)


@dataclass(frozen=True, eq=False)
class PlacedText:
    """A changed text with the place of each of its characters in the original text.

    Attributes:
        text: The changed text, ``n`` characters.
        starts: Start of each character in the original text, ``(n,)``.
        ends: End of each character in the original text, ``(n,)``.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def lowered(text: str) -> PlacedText:
    """Return a text in lower case with its places; one capital may become several characters."""
    lower = text.lower()
    origin = np.arange(len(text), dtype=np.int64)
    if len(lower) != len(text):
        origin = np.repeat(origin, [len(character.lower()) for character in text])
    return PlacedText(lower, origin, origin + 1)


def spread_over_characters(
    reader: NgramReader, text: str, contributions: NDArray[np.float64]
) -> tuple[Places, NDArray[np.float64]]:
    """Distribute the contribution of each n-gram over the characters that it covers.

    All occurrences of an n-gram get equal shares, and so do all characters of an occurrence.

    Args:
        reader: Reader of an n-gram model.
        text: Any text.
        contributions: One number for each n-gram of the reader, ``(ngrams,)``.

    Returns:
        Places ``(n, 2)`` and sums ``(n,)`` of the characters that any known n-gram covers, in text order. The sums
        add up to the contributions of the n-grams that occur in the text.
    """
    shown = _as_counted(text)
    found = [
        (column, start, size)
        for size in range(reader.ngram_sizes[0], reader.ngram_sizes[1] + 1)
        for start in range(len(shown.text) - size + 1)
        if (column := reader.position.get(shown.text[start : start + size])) is not None
    ]
    columns, starts, sizes = np.array(found, np.int64).reshape(-1, 3).T  # (occurrences,) each
    counts = np.bincount(columns, minlength=len(contributions))
    shares = contributions[columns] / (counts[columns] * sizes)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    characters = np.repeat(starts, sizes) + within  # (characters of all occurrences,)
    sums = np.bincount(characters, np.repeat(shares, sizes), len(shown.text))
    covered = np.unique(characters)
    return np.stack([shown.starts[covered], shown.ends[covered]], axis=1), sums[covered]


def _as_counted(text: str) -> PlacedText:
    """Return a text in the form in which n-grams are counted: lower case, runs of white space as one space."""
    lower = lowered(text)
    runs = [match.span() for match in _WHITE_SPACE.finditer(lower.text)]
    kept, ends = np.ones(len(lower.text), np.bool_), lower.ends.copy()
    for start, end in runs:
        kept[start + 1 : end] = False
        ends[start] = lower.ends[end - 1]
    return PlacedText(_WHITE_SPACE.sub(" ", lower.text), lower.starts[kept], ends[kept])


def _places(pairs: list[tuple[int, int]]) -> Places:
    return np.array(pairs, np.int64).reshape(-1, 2)
