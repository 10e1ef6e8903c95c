"""How much of a text training has hardly shown: its letters, and its pairs of neighbouring letters."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

MOST_BIGRAMS = 20_000  # that are known; more would tell little and make the file large
_COMMON = 0.99  # share of all occurrences that the known bigrams cover, if so many suffice


class TextCounts(NamedTuple):
    """Counts of one text.

    Attributes:
        length: All its characters.
        letters: Those that are letters, Chinese characters among them.
        unseen: Letters that training has hardly shown.
        latin: Latin letters.
        bigrams: Pairs of neighbouring letters.
        unseen_bigrams: Pairs that training has hardly shown.
    """

    length: int
    letters: int
    unseen: int
    latin: int
    bigrams: int
    unseen_bigrams: int


@dataclass(frozen=True)
class Familiar:
    """What training has shown often enough.

    Attributes:
        letters: See :class:`patent_hier.data.characters.Characters`.
        bigrams: See :func:`common_bigrams`.
    """

    letters: frozenset[str]
    bigrams: frozenset[str]

    def count(self, text: str) -> TextCounts:
        """Count a text, without its context."""
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
    """The pairs of neighbouring letters, in their order; a digit, blank or mark ends a pair."""
    return [pair for pair in map("".join, pairwise(text)) if pair.isalpha()]


def common_bigrams(texts: Iterable[str]) -> frozenset[str]:
    """The most frequent bigrams of some training texts: those that cover 99 %, or as many as may be known."""
    counts = Counter(pair for text in texts for pair in bigrams_of(text))
    wanted, covered, known = _COMMON * counts.total(), 0, []
    for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_BIGRAMS]:
        if covered >= wanted:
            break
        known.append(pair)
        covered += count
    return frozenset(known)


def joined(bigrams: Iterable[str]) -> str:
    """Bigrams as one string, for a file."""
    return "".join(sorted(bigrams))


def parted(text: object) -> frozenset[str]:
    """The bigrams of :func:`joined`.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(text, str) or len(text) % 2 or len(text) > 2 * MOST_BIGRAMS or not (text + "a").isalpha():
        raise ValueError("no bigrams")
    pairs: Sequence[str] = [text[place : place + 2] for place in range(0, len(text), 2)]
    return frozenset(pairs)
