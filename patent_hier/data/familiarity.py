"""Counts of a text's letters, and of its pairs of neighbouring letters, that hardly occur in training."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

MOST_BIGRAMS = 20_000  # largest number of known bigrams; more would add little and make the file large
_COMMON = 0.99  # share of all occurrences that the known bigrams cover, unless there are too many


class TextCounts(NamedTuple):
    """Counts of one text.

    Attributes:
        length: Number of characters.
        letters: Number of letters, including Chinese characters.
        unseen: Number of letters that hardly occur in training.
        latin: Number of Latin letters.
        bigrams: Number of pairs of neighbouring letters.
        unseen_bigrams: Number of such pairs that hardly occur in training.
    """

    length: int
    letters: int
    unseen: int
    latin: int
    bigrams: int
    unseen_bigrams: int


@dataclass(frozen=True)
class Familiar:
    """Letters and bigrams that occur often enough in training.

    Attributes:
        letters: Known letters; see :class:`patent_hier.data.characters.Characters`.
        bigrams: Known bigrams; see :func:`common_bigrams`.
    """

    letters: frozenset[str]
    bigrams: frozenset[str]

    def count(self, text: str) -> TextCounts:
        """Count the letters and bigrams of a text, which must not include its context."""
        letters, pairs = list(filter(str.isalpha, text)), bigrams_of(text)
        return TextCounts(
            len(text),
            len(letters),
            sum(letter not in self.letters for letter in letters),
            sum(map(str.isascii, letters)),
            len(pairs),
            sum(pair not in self.bigrams for pair in pairs),
        )


def bigrams_of(text: str) -> list[str]:
    """Return the pairs of neighbouring letters in order; digits, blanks and punctuation are not part of a pair."""
    return [pair for pair in map("".join, pairwise(text)) if pair.isalpha()]


def common_bigrams(texts: Iterable[str]) -> frozenset[str]:
    """Return the most frequent bigrams of training texts, which cover 99 % of all, but at most :data:`MOST_BIGRAMS`."""
    counts = Counter(pair for text in texts for pair in bigrams_of(text))
    wanted, covered, known = _COMMON * counts.total(), 0, []
    for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_BIGRAMS]:
        if covered >= wanted:
            break
        known.append(pair)
        covered += count
    return frozenset(known)


def joined(bigrams: Iterable[str]) -> str:
    """Return bigrams as one string for a file."""
    return "".join(sorted(bigrams))


def parted(text: object) -> frozenset[str]:
    """Return the bigrams in a string that :func:`joined` wrote.

    Raises:
        ValueError: If the value has another form.
    """
    if not isinstance(text, str) or len(text) % 2 or len(text) > 2 * MOST_BIGRAMS or not (text + "a").isalpha():
        raise ValueError("it is not a string of bigrams")
    pairs: Sequence[str] = [text[place : place + 2] for place in range(0, len(text), 2)]
    return frozenset(pairs)
